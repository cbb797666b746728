//! How the client reaches RocketMQ, and its limits.

use std::fmt;

use common::config::BrokerConfig;
use serde::Deserialize;

/// The settings of one client; everything has a default but the addresses that production needs.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RocketConfig {
    /// Name servers, `host:port`, several separated by `;`.
    pub name_server: String,
    /// The cluster in which topics and groups are created.
    pub cluster: String,
    /// Put before the names of topics and groups as `namespace%name`.
    pub namespace: Option<String>,
    /// The group that producers of this process are known by.
    pub producer_group: String,
    /// How operators see this process; made unique by the adapter.
    pub instance_name: String,
    pub access_key: Option<String>,
    pub secret_key: Option<SecretKey>,
    /// A send that takes longer has failed, its outcome unknown.
    pub send_timeout_ms: u64,
    /// Messages in one batch send.
    pub send_batch_max: usize,
    /// Batch sends, or single ones, that one `publish` has under way at once.
    pub sends_in_flight_max: usize,
    /// Messages that one pull brings; the broker's own limit may be lower.
    pub pull_batch_max: usize,
    /// How long the broker holds a pull that finds nothing; it looks every 5 s only.
    pub pull_suspend_ms: u64,
    /// How often progress is stored in the broker: what a crash repeats.
    pub commit_interval_ms: u64,
    /// How often the group's members share the queues anew.
    pub rebalance_interval_ms: u64,
    /// How long a delivery that was given back stays away.
    pub redelivery_delay_ms: u64,
    /// A question to the broker that takes longer has failed.
    pub request_timeout_ms: u64,
    /// How often routes are read again, and the broker hears that we live.
    pub heartbeat_interval_ms: u32,
    /// Between attempts while the broker is away, at most.
    pub backoff_max_ms: u64,
    /// Threads of the client's own runtime. One is cheaper than two: less is handed over.
    pub client_threads: usize,
}

impl RocketConfig {
    /// As a worker's section `broker` says, for the worker `name`.
    pub fn of(broker: &BrokerConfig, name: &str) -> Self {
        let producer_group = match broker.producer_group.as_str() {
            "" => name.to_owned(),
            group => group.to_owned(),
        };
        Self {
            name_server: broker.name_server.clone(),
            namespace: Some(broker.namespace.clone()).filter(|namespace| !namespace.is_empty()),
            producer_group,
            instance_name: name.to_owned(),
            access_key: broker.access_key.as_ref().map(|key| key.expose().to_owned()),
            secret_key: broker.secret_key.as_ref().map(|key| SecretKey(key.expose().to_owned())),
            send_timeout_ms: broker.send_timeout_ms,
            pull_batch_max: broker.pull_batch_max as usize,
            pull_suspend_ms: broker.pull_suspend_ms,
            backoff_max_ms: broker.backoff_max_ms,
            ..Self::default()
        }
    }
}

impl Default for RocketConfig {
    fn default() -> Self {
        Self {
            name_server: "127.0.0.1:9876".to_owned(),
            cluster: "DefaultCluster".to_owned(),
            namespace: None,
            producer_group: "boxoffice".to_owned(),
            instance_name: "boxoffice".to_owned(),
            access_key: None,
            secret_key: None,
            send_timeout_ms: 3_000,
            send_batch_max: 1_024,
            sends_in_flight_max: 8,
            pull_batch_max: 1_024,
            pull_suspend_ms: 1_000,
            commit_interval_ms: 1_000,
            rebalance_interval_ms: 250,
            redelivery_delay_ms: 500,
            request_timeout_ms: 3_000,
            heartbeat_interval_ms: 10_000,
            backoff_max_ms: 3_000,
            client_threads: 1,
        }
    }
}

/// A secret that no log shows.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct SecretKey(pub String);

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
