//! A bus inside the process, for tests: the same promises as RocketMQ, and some of its tricks.
//!
//! [`MemoryBus`] is one client; [`MemoryBus::client`] makes another one on the same broker, as a
//! second process would be. Delays run on tokio's clock, so that a paused clock skips them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{
    BODY_MAX_BYTES, Bus, BusError, Consumer, Delivery, Mismatch, OutgoingMessage, PublishError,
    Publisher, Subscription, Topology,
};

mod broker;

use broker::{Broker, QueueKey, Taken};

/// How the bus behaves; the default is the kindest broker there is.
#[derive(Debug, Clone)]
pub struct MemoryOptions {
    pub order: DeliveryOrder,
    /// How many copies of each message every group gets: 2 delivers everything twice.
    pub copies: u32,
    /// Larger bodies are refused, in bytes.
    pub body_max_bytes: usize,
    pub topics: TopicPolicy,
    /// How long a message that was given back stays away.
    pub redelivery_delay: Duration,
}

/// In which order a group gets its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryOrder {
    /// As they were published.
    Published,
    /// Any order, the same one for the same seed and calls.
    Shuffled { seed: u64 },
}

/// Which topics and groups can be published to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicPolicy {
    /// All of them: a topic is there once it is named.
    Any,
    /// Only what [`Bus::create`] made, as on a broker without automatic creation.
    Created,
}

impl Default for MemoryOptions {
    fn default() -> Self {
        Self {
            order: DeliveryOrder::Published,
            copies: 1,
            body_max_bytes: BODY_MAX_BYTES,
            topics: TopicPolicy::Any,
            redelivery_delay: Duration::ZERO,
        }
    }
}

/// One client of a broker in memory; clones are the same client.
#[derive(Debug, Clone)]
pub struct MemoryBus {
    broker: Arc<Broker>,
    closed: CancellationToken,
    consumers: TaskTracker,
}

impl Default for MemoryBus {
    fn default() -> Self {
        Self::new(MemoryOptions::default())
    }
}

impl MemoryBus {
    /// A client of a new, empty broker.
    pub fn new(options: MemoryOptions) -> Self {
        Self::on(Arc::new(Broker::new(options)))
    }

    /// Another client of the same broker; it is open even when this one is closed.
    pub fn client(&self) -> Self {
        Self::on(Arc::clone(&self.broker))
    }

    fn on(broker: Arc<Broker>) -> Self {
        Self { broker, closed: CancellationToken::new(), consumers: TaskTracker::new() }
    }

    /// The broker goes away, for all its clients: nothing is taken, nothing is delivered.
    pub fn go_away(&self) {
        self.broker.set_away(true);
    }

    /// The broker is there again, with everything it had.
    pub fn come_back(&self) {
        self.broker.set_away(false);
    }

    /// Everything that was published so far, by any client, in order.
    pub fn published(&self) -> Vec<OutgoingMessage> {
        self.broker.published()
    }

    /// Like [`MemoryBus::published`], and forgets it (deliveries are not touched).
    pub fn take_published(&self) -> Vec<OutgoingMessage> {
        self.broker.take_published()
    }
}

#[async_trait]
impl Publisher for MemoryBus {
    async fn publish(&self, messages: Vec<OutgoingMessage>) -> Vec<Result<(), PublishError>> {
        if self.closed.is_cancelled() {
            let closed = || Err(PublishError::Away("this client is closed".to_owned()));
            return messages.iter().map(|_| closed()).collect();
        }
        self.broker.publish(messages)
    }
}

#[async_trait]
impl Bus for MemoryBus {
    async fn subscribe(&self, subscription: Subscription) -> Result<Consumer, BusError> {
        if subscription.batch_max == 0 || subscription.in_flight_max == 0 {
            let problem = "batch_max and in_flight_max of a subscription are at least 1";
            return Err(BusError::Misconfigured(problem.to_owned()));
        }
        // One delivery is made ahead; the others wait as messages, so that batches grow under load.
        let (deliveries, receiver) = mpsc::channel(1);
        let stop = self.closed.child_token();
        let feed = Feed {
            broker: Arc::clone(&self.broker),
            key: self.broker.join(&subscription),
            batch_max: subscription.batch_max,
            in_flight: Arc::new(Semaphore::new(subscription.in_flight_max)),
            closed: self.closed.clone(),
            stop: stop.clone(),
            in_hand: self.consumers.clone(),
        };
        self.consumers.spawn(feed.run(deliveries));
        Ok(Consumer::new(receiver, stop))
    }

    async fn create(&self, topology: &Topology) -> Result<(), BusError> {
        self.broker.create(topology)
    }

    async fn verify(&self, topology: &Topology) -> Result<Vec<Mismatch>, BusError> {
        self.broker.verify(topology)
    }

    async fn lag(&self, group: &str, topic: &str) -> Result<u64, BusError> {
        self.broker.lag(group, topic)
    }

    async fn probe(&self) -> Result<(), BusError> {
        self.broker.probe()
    }

    async fn close(&self) {
        self.closed.cancel();
        self.consumers.close();
        self.consumers.wait().await;
    }
}

/// Moves one group's messages into one consumer's channel.
struct Feed {
    broker: Arc<Broker>,
    key: QueueKey,
    batch_max: usize,
    in_flight: Arc<Semaphore>,
    stop: CancellationToken,
    closed: CancellationToken,
    in_hand: TaskTracker,
}

impl Feed {
    async fn run(self, deliveries: mpsc::Sender<Delivery>) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = deliveries.closed() => {}
            () = self.deliver_for_ever(&deliveries) => {}
        }
    }

    async fn deliver_for_ever(&self, deliveries: &mpsc::Sender<Delivery>) {
        let mut changes = self.broker.changes();
        loop {
            let Ok(permit) = Arc::clone(&self.in_flight).acquire_owned().await else { return };
            let batch = loop {
                changes.mark_unchanged();
                match self.broker.take(&self.key, self.batch_max) {
                    Taken::Messages(batch) => break batch,
                    Taken::NothingBefore(due) => {
                        let _ = tokio::time::timeout_at(due, changes.changed()).await;
                    }
                    Taken::Nothing => {
                        let _ = changes.changed().await;
                    }
                }
            };
            let (delivery, acked) = Delivery::new(batch.clone());
            let (broker, key, closed) =
                (Arc::clone(&self.broker), self.key.clone(), self.closed.clone());
            self.in_hand.spawn(async move {
                let acknowledged = tokio::select! {
                    biased;
                    answer = acked => answer.is_ok(),
                    () = closed.cancelled() => false,
                };
                if acknowledged {
                    broker.finish(&key, batch.len());
                } else {
                    broker.give_back(&key, batch, Instant::now());
                }
                drop(permit);
            });
            // A failure means that the consumer is gone: dropping the delivery gives it back.
            let _ = deliveries.send(delivery).await;
        }
    }
}
