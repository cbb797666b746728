//! Nothing is unreadable to the archive: whatever a message lacks is derived or left empty.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use common::bus::{IncomingMessage, dead_letter_topic, retry_topic};
use common::pipeline::{Recorded, Unreadable};
use contracts::{
    Body, Envelope, NotificationMessage, OrderEventMessage, SaleChanged, StockEventMessage, Tag,
    derived_event_id, properties as names, topics,
};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::domain::{Causes, DeadLetter, Death, Facts};

/// Reads a message from a dead-letter queue.
///
/// # Errors
/// Never: the archive takes everything.
pub fn read(incoming: &IncomingMessage) -> Result<Recorded<Arc<DeadLetter>>, Unreadable> {
    let letter = dead_letter(incoming);
    Ok(Recorded { event_id: letter.event_id, record: Arc::new(letter) })
}

fn dead_letter(incoming: &IncomingMessage) -> DeadLetter {
    let properties = &incoming.properties;
    let origin_topic = origin_topic(incoming);
    let given: Option<Uuid> = parsed(properties, names::EVENT_ID);
    let event_id = given.unwrap_or_else(|| {
        let topic = origin_topic.as_deref().unwrap_or_default();
        as_its_consumer_derives(topic, incoming).unwrap_or_else(|| {
            derived_event_id(topic, &incoming.key, &incoming.tag, &incoming.body, None)
        })
    });
    DeadLetter {
        event_id,
        derived: given.is_none(),
        content_hash: content_hash(incoming),
        origin_topic,
        tag: storable(&incoming.tag),
        key: storable(&incoming.key),
        order_no: order_no(incoming),
        body: incoming.body.clone(),
        properties: BTreeMap::clone(properties),
        death: death(incoming),
    }
}

/// The id by which the consumer's inbox knows a message without an envelope, if it can be read.
fn as_its_consumer_derives(topic: &str, incoming: &IncomingMessage) -> Option<Uuid> {
    fn derive<B: Body>(tag: Tag, topic: &str, body: &[u8]) -> Option<Uuid> {
        let message = B::read(tag, body).ok()?;
        Some(Envelope::derived(topic, &message, body).event_id)
    }
    let tag: Tag = incoming.tag.parse().ok()?;
    let derive = match (tag.topic(), tag) {
        (topics::ORDER_TOPIC, _) => derive::<OrderEventMessage>,
        (topics::STOCK_TOPIC, Tag::SaleChanged) => derive::<SaleChanged>,
        (topics::STOCK_TOPIC, _) => derive::<StockEventMessage>,
        (_, _) => derive::<NotificationMessage>,
    };
    derive(tag, topic, &incoming.body)
}

fn death(incoming: &IncomingMessage) -> Death {
    let properties = &incoming.properties;
    let text = |name| properties.get(name).map(|value| storable(value));
    // Workers call themselves name/version.
    let (worker, version) = match text(names::WORKER) {
        Some(worker) => match worker.split_once('/') {
            Some((name, version)) => (Some(name.to_owned()), Some(version.to_owned())),
            None => (Some(worker), None),
        },
        None => (None, None),
    };
    let cause = properties.get(names::ERROR).map(String::as_str);
    Death {
        // All zeros stands for "none" in the archive.
        replay_id: parsed(properties, names::REPLAY_ID).filter(|id: &Uuid| !id.is_nil()),
        attempt: parsed(properties, names::ATTEMPT).unwrap_or(incoming.broker_attempts),
        causes: Causes::read(cause, incoming.broker_attempts),
        worker,
        worker_version: text(names::WORKER_VERSION).or(version),
        facts: Facts {
            message_id: storable(&incoming.message_id),
            broker: storable(&incoming.position.broker),
            queue: incoming.position.queue,
            offset: incoming.position.offset,
            reconsume_times: incoming.broker_attempts,
            born_at: storable_time(incoming.born_at),
            stored_at: storable_time(incoming.stored_at),
        },
    }
}

/// Where the message was first published; a retry or dead-letter queue is no such place.
fn origin_topic(incoming: &IncomingMessage) -> Option<String> {
    let recorded = incoming.properties.get(names::ORIGIN_TOPIC).map(String::as_str);
    let special = [retry_topic(""), dead_letter_topic("")];
    [recorded, Some(&*incoming.topic)]
        .into_iter()
        .flatten()
        .find(|topic| !topic.is_empty() && !special.iter().any(|prefix| topic.starts_with(prefix)))
        .map(storable)
}

/// The message's key; a Java service sets none, but its body names the order.
fn order_no(incoming: &IncomingMessage) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Named {
        order_no: String,
    }
    if !incoming.key.is_empty() {
        return Some(storable(&incoming.key));
    }
    let named: Named = serde_json::from_slice(&incoming.body).ok()?;
    Some(storable(&named.order_no)).filter(|order_no| !order_no.is_empty())
}

fn content_hash(incoming: &IncomingMessage) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [incoming.tag.as_bytes(), incoming.key.as_bytes(), &incoming.body] {
        // The length keeps "ab" + "c" apart from "a" + "bc".
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

fn parsed<T: std::str::FromStr>(properties: &BTreeMap<String, String>, name: &str) -> Option<T> {
    properties.get(name)?.trim().parse().ok()
}

/// PostgreSQL's text holds everything but this one character.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{FFFD}")
}

/// A broken clock's time before 1970 is none that PostgreSQL must hold.
fn storable_time(time: DateTime<Utc>) -> DateTime<Utc> {
    time.max(DateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests;
