//! Names of the user properties that travel beside a body.

/// The order number; RocketMQ indexes messages by it.
pub const KEYS: &str = "KEYS";
/// The event's own id, the same through retry, dead-lettering and replay.
pub const EVENT_ID: &str = "eventId";
/// The version of the body's contract, an integer.
pub const SCHEMA_VERSION: &str = "schemaVersion";
/// The version of the order or stock record that the event speaks of.
pub const AGGREGATE_VERSION: &str = "aggregateVersion";
/// When it happened, RFC 3339 in UTC.
pub const OCCURRED_AT: &str = "occurredAt";
/// Who said so: name/version.
pub const PRODUCER: &str = "producer";
/// The id of the event that caused this one.
pub const CAUSATION_ID: &str = "causationId";
/// W3C trace context.
pub const TRACEPARENT: &str = "traceparent";

/// How many times the message has been tried, on retries and dead letters.
pub const ATTEMPT: &str = "attempt";
/// Why the last attempt failed: the error chain.
pub const ERROR: &str = "error";
/// The worker in which it failed.
pub const WORKER: &str = "worker";
/// That worker's version.
pub const WORKER_VERSION: &str = "workerVersion";
/// The topic where the message was first published.
pub const ORIGIN_TOPIC: &str = "originTopic";
/// The replay that sent the message again.
pub const REPLAY_ID: &str = "replayId";
