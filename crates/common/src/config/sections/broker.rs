use serde::{Deserialize, Serialize};

use super::check::{ordered_backoff, within};
use crate::config::{Secret, Validate};

/// What to do about topics and groups at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provisioning {
    /// Create what is missing.
    Create,
    /// Name what is missing and how to create it; change nothing.
    Verify,
}

/// RocketMQ.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BrokerConfig {
    /// `host:port`, several separated by `;`.
    pub name_server: String,
    /// Empty: the worker's name.
    pub producer_group: String,
    /// Empty for none.
    pub namespace: String,
    pub access_key: Option<Secret>,
    pub secret_key: Option<Secret>,
    pub topics: Provisioning,
    /// Queues of a topic that is created; more members of a group than queues sit idle.
    pub queues: u32,
    pub order_topic: String,
    pub stock_topic: String,
    pub notification_topic: String,
    pub send_timeout_ms: u64,
    /// Messages in one pull at most; the broker's own limit must be as high.
    pub pull_batch_max: u32,
    /// How long the broker parks a pull that finds nothing.
    pub pull_suspend_ms: u64,
    pub pull_timeout_ms: u64,
    /// How often the broker itself redelivers what a crash left behind.
    pub broker_attempts_max: u32,
    pub backoff_min_ms: u64,
    pub backoff_max_ms: u64,
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self {
            name_server: "127.0.0.1:9876".to_owned(),
            producer_group: String::new(),
            namespace: String::new(),
            access_key: None,
            secret_key: None,
            topics: Provisioning::Verify,
            queues: 16,
            order_topic: "ORDER_TOPIC".to_owned(),
            stock_topic: "STOCK_TOPIC".to_owned(),
            notification_topic: "NOTIFICATION_TOPIC".to_owned(),
            send_timeout_ms: 3_000,
            pull_batch_max: 1_024,
            pull_suspend_ms: 1_000,
            pull_timeout_ms: 5_000,
            broker_attempts_max: 16,
            backoff_min_ms: 100,
            backoff_max_ms: 5_000,
        }
    }
}

impl Validate for BrokerConfig {
    fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for server in self.name_server.split(';') {
            let port = server.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
            if port.is_none() {
                problems.push(format!("name_server: {server:?} is not host:port"));
            }
        }
        let topics = [
            ("order_topic", &self.order_topic),
            ("stock_topic", &self.stock_topic),
            ("notification_topic", &self.notification_topic),
        ];
        for (key, topic) in topics {
            if topic.is_empty() {
                problems.push(format!("{key}: must not be empty"));
            }
        }
        if self.access_key.is_some() != self.secret_key.is_some() {
            problems.push("access_key: is of no use without secret_key, and the reverse".into());
        }
        within(&mut problems, "queues", self.queues, 1, 1_024);
        within(&mut problems, "send_timeout_ms", self.send_timeout_ms, 1, 60_000);
        within(&mut problems, "pull_batch_max", self.pull_batch_max, 1, 1_024);
        within(&mut problems, "broker_attempts_max", self.broker_attempts_max, 1, 1_000);
        if self.pull_suspend_ms >= self.pull_timeout_ms {
            problems.push(format!(
                "pull_suspend_ms: {} must be shorter than pull_timeout_ms ({})",
                self.pull_suspend_ms, self.pull_timeout_ms
            ));
        }
        ordered_backoff(&mut problems, self.backoff_min_ms, self.backoff_max_ms);
        problems
    }
}
