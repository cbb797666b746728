use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Causes;

/// A message that its consumer group could not take.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    pub event_id: Uuid,
    /// Whether the event id was derived because the message had none.
    pub derived: bool,
    /// Of tag, key and body: tells apart what another service gave the same event id.
    pub content_hash: [u8; 32],
    /// Where it was first published; `None` when nothing says so.
    pub origin_topic: Option<String>,
    pub tag: String,
    /// The message's key as it came; empty without one.
    pub key: String,
    pub order_no: Option<String>,
    pub body: Bytes,
    pub properties: BTreeMap<String, String>,
    pub death: Death,
}

/// How it died this time.
#[derive(Debug, Clone, PartialEq)]
pub struct Death {
    /// The replay in which it died, if it was one.
    pub replay_id: Option<Uuid>,
    /// How many attempts had failed.
    pub attempt: u32,
    pub causes: Causes,
    pub worker: Option<String>,
    pub worker_version: Option<String>,
    pub facts: Facts,
}

/// What the broker knows about the message in the dead-letter queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    pub message_id: String,
    pub broker: String,
    pub queue: i32,
    pub offset: i64,
    pub reconsume_times: u32,
    pub born_at: DateTime<Utc>,
    pub stored_at: DateTime<Utc>,
}

impl DeadLetter {
    /// The earliest that the message can have had an effect: when its event was made, and for a
    /// message without an event id of its own, when it was sent.
    pub fn event_at(&self) -> DateTime<Utc> {
        let born_at = self.death.facts.born_at;
        let made_at = self.event_id.get_timestamp().and_then(|time| {
            let (seconds, nanos) = time.to_unix();
            DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
        });
        match made_at {
            Some(made_at) if !self.derived => made_at.min(born_at),
            Some(_) | None => born_at,
        }
    }
}
