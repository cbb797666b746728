//! The bus on Apache RocketMQ 5: the one crate that compiles its client.
//!
//! **Consuming** is pulling, with progress of our own. RocketMQ's push consumer acknowledges a
//! batch from a blocked thread and sends what failed to its own retry ladder, which counts an
//! attempt for an outage; its lite pull consumer drops what waits in it for more than five
//! minutes. So the adapter asks the client for what it does well (membership, rebalancing, routes,
//! long polling) and keeps the rest itself: what was pulled waits in memory, deliveries are made
//! of whatever is there, a delivery that is given back is delivered again from memory, and the
//! committed offset of a queue is the lowest unfinished one.
//!
//! **Publishing** groups messages by topic into batch sends. Messages with a delay and retries go
//! one by one, several at once: RocketMQ takes no batches of them.

#![recursion_limit = "512"]

mod admin;
mod config;
mod consume;
mod errors;
mod flag;
mod host;
mod message;
mod names;
mod publish;
mod renew;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use common::bus::{
    Bus, BusError, Consumer, Mismatch, OutgoingMessage, PublishError, Publisher, Subscription,
    Topology,
};
use rocketmq_client_rust::DefaultMQProducer;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin::Admin;
use crate::host::Host;
use crate::names::Names;
use crate::renew::Renewable;

pub use crate::config::{RocketConfig, SecretKey};

/// A client of RocketMQ; clones are the same client.
#[derive(Clone)]
pub struct RocketBus {
    shared: Arc<Shared>,
}

/// What the parts of one client share.
struct Shared {
    config: RocketConfig,
    names: Names,
    /// Unique among all clients of the cluster.
    instance: String,
    host: Host,
    producer: Renewable<DefaultMQProducer>,
    admin: Renewable<Admin>,
    /// Topics that took a message once: when they are gone, they come back.
    proven_topics: Mutex<HashSet<String>>,
    closed: CancellationToken,
    /// Consumers, and clients that are being shut down.
    tasks: TaskTracker,
}

impl RocketBus {
    /// Prepares a client; it connects with its first call, and again after every outage.
    ///
    /// # Errors
    /// When the configuration can't work: an unreachable broker is no error.
    pub async fn connect(config: RocketConfig) -> Result<Self, BusError> {
        if config.name_server.trim().is_empty() {
            return Err(BusError::Misconfigured("name_server is empty".to_owned()));
        }
        let limits = [
            config.send_batch_max,
            config.sends_in_flight_max,
            config.pull_batch_max,
            config.client_threads,
        ];
        if limits.contains(&0) {
            return Err(BusError::Misconfigured("limits of the client are at least 1".to_owned()));
        }
        let shared = Shared {
            names: Names::new(config.namespace.as_deref()),
            instance: format!("{}-{}", config.instance_name, uuid::Uuid::now_v7().simple()),
            host: Host::start(&config)?,
            producer: Renewable::new(),
            admin: Renewable::new(),
            proven_topics: Mutex::default(),
            closed: CancellationToken::new(),
            tasks: TaskTracker::new(),
            config,
        };
        Ok(Self { shared: Arc::new(shared) })
    }
}

#[async_trait]
impl Publisher for RocketBus {
    async fn publish(&self, messages: Vec<OutgoingMessage>) -> Vec<Result<(), PublishError>> {
        publish::publish(&self.shared, messages).await
    }
}

#[async_trait]
impl Bus for RocketBus {
    async fn subscribe(&self, subscription: Subscription) -> Result<Consumer, BusError> {
        consume::subscribe(&self.shared, subscription)
    }

    async fn create(&self, topology: &Topology) -> Result<(), BusError> {
        self.shared.admin().await?.create(topology).await
    }

    async fn verify(&self, topology: &Topology) -> Result<Vec<Mismatch>, BusError> {
        self.shared.admin().await?.verify(topology).await
    }

    async fn lag(&self, group: &str, topic: &str) -> Result<u64, BusError> {
        self.shared.admin().await?.lag(group, topic).await
    }

    async fn probe(&self) -> Result<(), BusError> {
        self.shared.admin().await?.probe().await
    }

    async fn close(&self) {
        let Shared { closed, tasks, producer, host, .. } = &*self.shared;
        closed.cancel();
        tasks.close();
        tasks.wait().await;
        if let Some(producer) = producer.take().await {
            Box::pin(DefaultMQProducer::clone(&producer).shutdown()).await;
        }
        host.shutdown().await;
    }
}

impl Shared {
    async fn admin(&self) -> Result<Arc<Admin>, BusError> {
        let renewed = self.admin.get(Admin::start(self)).await?;
        if let Some(old) = renewed.replaced {
            self.tasks.spawn(async move { old.shutdown().await });
        }
        if renewed.client.is_lost() {
            self.admin.suspect();
        }
        Ok(renewed.client)
    }
}
