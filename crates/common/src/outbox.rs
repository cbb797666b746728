//! Events on their way out: rows written in the deciding transaction, published after it.
//!
//! After the commit the rows are handed to the [`Relay`] in memory; nothing polls on the fast
//! path. Rows are born leased to their writer, so that the [`sweeper`] claims only what a crash
//! or a full relay left behind. An event may be published twice (a crash between publishing and
//! marking), never not at all.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use contracts::Envelope;
use uuid::Uuid;

use crate::bus::{Destination, OutgoingMessage};

mod relay;
pub mod sweeper;
mod table;

pub use relay::Relay;
pub use table::Outbox;

/// One event to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Stays the same through publishing twice, retry, dead-lettering and replay.
    pub event_id: Uuid,
    pub session_id: i64,
    /// The order number, or what else the event is about.
    pub key: Arc<str>,
    pub destination: Destination,
    pub tag: Arc<str>,
    pub body: Bytes,
    pub aggregate_version: i64,
    pub occurred_at: DateTime<Utc>,
    pub causation_id: Option<Uuid>,
    pub traceparent: Option<Arc<str>>,
    /// User properties beyond the envelope (the cause of a dead letter, say).
    pub properties: BTreeMap<String, String>,
}

impl Row {
    /// The message as it is published by `producer` (name/version).
    pub fn to_message(&self, producer: &str) -> OutgoingMessage {
        let envelope = Envelope {
            key: self.key.to_string(),
            event_id: self.event_id,
            schema_version: contracts::WRITE_VERSION,
            aggregate_version: self.aggregate_version,
            occurred_at: self.occurred_at,
            producer: producer.to_owned(),
            causation_id: self.causation_id,
            traceparent: self.traceparent.as_deref().map(str::to_owned),
        };
        let mut properties = envelope.to_properties();
        properties.extend(self.properties.clone());
        OutgoingMessage {
            destination: self.destination.clone(),
            tag: self.tag.clone(),
            key: self.key.clone(),
            body: self.body.clone(),
            properties,
            delay: None,
        }
    }
}
