//! The message bus as the workers see it: a port, with RocketMQ behind it in production.
//!
//! The port promises at-least-once delivery and nothing more: no order, no exactly-once. A batch
//! that is not acknowledged comes again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

pub mod conformance;
pub mod memory;
mod received;
pub mod topology;

pub use received::{Received, Written};
pub use topology::{Group, Mismatch, Topic, Topology};

/// The largest body that is published, in bytes (RocketMQ's own default limit).
pub const BODY_MAX_BYTES: usize = 4 * 1024 * 1024;

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Destination {
    /// Every group that subscribes to the topic and tag.
    Topic(Arc<str>),
    /// One consumer group alone, again (`%RETRY%<group>`); it sees the original topic.
    Retry { group: Arc<str>, topic: Arc<str> },
    /// The dead-letter queue of one consumer group (`%DLQ%<group>`).
    Dead { group: Arc<str>, topic: Arc<str> },
}

/// A message to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingMessage {
    pub destination: Destination,
    pub tag: Arc<str>,
    /// RocketMQ's `KEYS`: the order number, or whatever the message is found by.
    pub key: Arc<str>,
    pub body: Bytes,
    /// User properties; the names in `contracts::envelope` are ours.
    pub properties: BTreeMap<String, String>,
    /// Not delivered before this much time has passed.
    pub delay: Option<Duration>,
}

/// A message as it was delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncomingMessage {
    /// The topic that it was first published to, also when it comes from a retry queue.
    pub topic: Arc<str>,
    pub tag: Arc<str>,
    /// Empty when the producer set none.
    pub key: Arc<str>,
    pub body: Bytes,
    pub properties: Received,
    /// The broker's id of this delivery's stored copy: another one after each retry.
    pub message_id: Arc<str>,
    /// How often the broker itself gave it back (`reconsumeTimes`); ours are in a property.
    pub broker_attempts: u32,
    pub born_at: DateTime<Utc>,
    pub stored_at: DateTime<Utc>,
    /// Where it lies: broker, queue and offset, for people.
    pub position: Position,
}

/// Where a delivered message lies in the broker.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Position {
    pub broker: Arc<str>,
    pub queue: i32,
    pub offset: i64,
}

/// Why a message was not published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The broker can't be reached or is not taking messages now: try again later.
    #[error("the broker is away: {0}")]
    Away(String),
    /// This message will never be taken (too large, no such topic): trying again is useless.
    #[error("the broker refuses the message: {0}")]
    Refused(String),
}

/// Why a call to the bus failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    #[error("the broker is away: {0}")]
    Away(String),
    #[error("{0}")]
    Misconfigured(String),
}

/// What one group takes from one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    pub topic: Arc<str>,
    pub group: Arc<str>,
    /// The tags; empty takes them all. Never changes for a group once it is deployed.
    pub tags: Vec<Arc<str>>,
    /// How many messages one delivery holds at most.
    pub batch_max: usize,
    /// How many deliveries may be unacknowledged at once.
    pub in_flight_max: usize,
}

/// Some messages of one subscription, acknowledged together.
///
/// Dropping it without [`Delivery::ack`] gives all of them back to the bus.
#[derive(Debug)]
pub struct Delivery {
    pub messages: Vec<IncomingMessage>,
    ack: oneshot::Sender<Acknowledged>,
}

/// The answer to a [`Delivery`]; an adapter that sees its sender dropped redelivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acknowledged;

impl Delivery {
    /// For adapters: a delivery, and the end on which its acknowledgement arrives.
    pub fn new(messages: Vec<IncomingMessage>) -> (Self, oneshot::Receiver<Acknowledged>) {
        let (ack, acked) = oneshot::channel();
        (Self { messages, ack }, acked)
    }

    /// Ends the delivery: none of its messages comes again (unless the process dies just now).
    pub fn ack(self) {
        // The receiver is gone only when the consumer was closed; then the messages come again,
        // which the inbox absorbs.
        let _ = self.ack.send(Acknowledged);
    }

    /// Splits into the messages and the handle that acknowledges them.
    pub fn into_parts(self) -> (Vec<IncomingMessage>, AckHandle) {
        (self.messages, AckHandle(self.ack))
    }
}

/// Acknowledges a delivery whose messages were taken out.
#[derive(Debug)]
pub struct AckHandle(oneshot::Sender<Acknowledged>);

impl AckHandle {
    /// See [`Delivery::ack`].
    pub fn ack(self) {
        let _ = self.0.send(Acknowledged);
    }
}

/// The receiving end of a subscription; shared by the tasks that work on it.
#[derive(Debug)]
pub struct Consumer {
    deliveries: Mutex<mpsc::Receiver<Delivery>>,
    stop: CancellationToken,
}

impl Consumer {
    /// For adapters: `stop` is cancelled when the worker wants no more deliveries. The adapter
    /// then stops pulling, keeps acknowledging what is in hand, and drops its sender.
    pub fn new(deliveries: mpsc::Receiver<Delivery>, stop: CancellationToken) -> Self {
        Self { deliveries: Mutex::new(deliveries), stop }
    }

    /// The next delivery; `None` once stopped and empty.
    pub async fn next(&self) -> Option<Delivery> {
        self.deliveries.lock().await.recv().await
    }

    /// A delivery that is already here, if any.
    pub fn try_next(&self) -> Option<Delivery> {
        self.deliveries.try_lock().ok()?.try_recv().ok()
    }

    /// Asks the bus to deliver no more; what is in hand can still be acknowledged.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Ends once the bus has been asked to deliver no more.
    pub async fn stopping(&self) {
        self.stop.cancelled().await;
    }
}

/// Sends messages.
#[async_trait]
pub trait Publisher: Send + Sync + 'static {
    /// Publishes all, in batches where the bus can, and answers for each in the same order.
    ///
    /// Once a message's answer is `Ok`, the broker has it. After `Away` it may have it, too.
    async fn publish(&self, messages: Vec<OutgoingMessage>) -> Vec<Result<(), PublishError>>;
}

/// The whole port.
#[async_trait]
pub trait Bus: Publisher {
    /// Starts to consume, from the first offset for a group that is new.
    ///
    /// While the broker is away this waits inside the adapter: an error is for good.
    async fn subscribe(&self, subscription: Subscription) -> Result<Consumer, BusError>;

    /// Creates what is missing of the topology, with the retry and dead-letter topics of groups.
    async fn create(&self, topology: &Topology) -> Result<(), BusError>;

    /// Says what is missing of the topology; changes nothing.
    async fn verify(&self, topology: &Topology) -> Result<Vec<Mismatch>, BusError>;

    /// How many messages wait for the group on the topic.
    async fn lag(&self, group: &str, topic: &str) -> Result<u64, BusError>;

    /// Ok when the broker answers.
    async fn probe(&self) -> Result<(), BusError>;

    /// Closes producers and consumers; called after the drain.
    async fn close(&self);
}

/// The topic that holds a group's retries.
pub fn retry_topic(group: &str) -> String {
    format!("%RETRY%{group}")
}

/// The topic that holds a group's dead letters.
pub fn dead_letter_topic(group: &str) -> String {
    format!("%DLQ%{group}")
}
