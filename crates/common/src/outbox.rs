//! Events on their way out: rows written in the deciding transaction, published after it.
//!
//! After the commit the rows are handed to the [`Relay`] in memory; nothing polls on the fast
//! path. Rows are only added; what is noted of their publishing is noted of their [`Batch`], which
//! is born leased to its writer, so that the [`sweeper`] claims only what a crash or a full relay
//! left behind. An event may be published twice (a crash between publishing and marking), never
//! not at all.

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
pub use table::{Batch, Claimed, Outbox, Past};

/// One event to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Rows that are written in one transaction have one batch: they are claimed and marked
    /// together. Like `event_id`, an id in time order.
    pub batch_id: Uuid,
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
    /// The message as it is published by `producer` (name/version) in `version` of the contracts.
    ///
    /// What goes to one group's retry queue was published before (a replay): it keeps the
    /// properties it had, and stays without an envelope if it had none.
    pub fn to_message(&self, producer: &str, version: u32) -> OutgoingMessage {
        let mut properties = match self.destination {
            Destination::Topic(_) | Destination::Dead { .. } => self.stamped(producer, version),
            Destination::Retry { .. } => BTreeMap::new(),
        };
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

    /// The envelope's properties.
    fn stamped(&self, producer: &str, version: u32) -> BTreeMap<String, String> {
        let envelope = Envelope {
            // The message carries it as its key; RocketMQ refuses it as a user property.
            key: String::new(),
            event_id: self.event_id,
            schema_version: version,
            aggregate_version: self.aggregate_version,
            occurred_at: self.occurred_at,
            producer: producer.to_owned(),
            causation_id: self.causation_id,
            traceparent: self.traceparent.as_deref().map(str::to_owned),
        };
        envelope.to_properties()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(destination: Destination) -> Row {
        Row {
            batch_id: Uuid::from_u128(1),
            event_id: Uuid::from_u128(7),
            session_id: 3,
            key: "A1".into(),
            destination,
            tag: "T".into(),
            body: Bytes::from_static(b"{}"),
            aggregate_version: 2,
            occurred_at: DateTime::UNIX_EPOCH,
            causation_id: None,
            traceparent: None,
            properties: BTreeMap::from([("mine".to_owned(), "1".to_owned())]),
        }
    }

    #[test]
    fn an_event_has_its_envelope_and_the_key_beside_the_properties() {
        let message = row(Destination::Topic("TOPIC".into())).to_message("w/1", 1);
        assert_eq!(&*message.key, "A1");
        assert!(!message.properties.contains_key(contracts::properties::KEYS));
        assert_eq!(message.properties["mine"], "1");
        let envelope = Envelope::read(&message.properties).expect("readable").expect("there");
        assert_eq!((envelope.event_id, envelope.aggregate_version), (Uuid::from_u128(7), 2));
    }

    #[test]
    fn what_goes_to_a_retry_queue_keeps_the_properties_it_had() {
        let (group, topic) = ("g".into(), "TOPIC".into());
        let row = row(Destination::Retry { group, topic });
        assert_eq!(row.to_message("w/1", 1).properties, row.properties);
    }
}
