//! Between the port's messages and RocketMQ's.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use common::bus::{
    BODY_MAX_BYTES, Destination, IncomingMessage, OutgoingMessage, Position, PublishError,
    Received, Subscription,
};
use rocketmq_model::common::message::message_ext::MessageExt;
use rocketmq_model::common::message::message_property::MessagePropertyKey;
use rocketmq_model::common::message::message_single::Message;
use rocketmq_model::common::message::{MessageConst, STRING_HASH_SET};

use crate::consume::{Frame, Queue};
use crate::names::{self, Names};

/// What RocketMQ can store of names and values of properties, in bytes, with room for its own.
const PROPERTIES_MAX_BYTES: usize = 30_000;
/// What a message costs on the wire beside body and properties, in bytes.
const FRAME_BYTES: usize = 64;
/// What RocketMQ separates names and values of properties by: no value can hold them.
pub(crate) const SEPARATORS: [char; 2] = ['\u{1}', '\u{2}'];
/// Names that the broker adds and that its client's list of reserved names lacks.
const MORE_SYSTEM_PROPERTIES: [&str; 3] = ["__transactionId__", "TRACE_CONTEXT", "__SHARDINGKEY"];

/// Refuses what the broker would refuse for good, before anything is sent.
pub(crate) fn check(message: &OutgoingMessage, topic: &str) -> Result<(), PublishError> {
    let refuse = |problem: String| Err(PublishError::Refused(problem));
    if !names::is_legal(topic) {
        return refuse(format!("{topic:?} is no legal topic"));
    }
    if message.body.is_empty() {
        return refuse("RocketMQ takes no empty body".to_owned());
    }
    if message.body.len() > BODY_MAX_BYTES {
        return refuse(format!(
            "{} bytes of body, {BODY_MAX_BYTES} is the limit",
            message.body.len()
        ));
    }
    let properties = properties_bytes(message);
    if properties > PROPERTIES_MAX_BYTES {
        return refuse(format!(
            "{properties} bytes of properties, {PROPERTIES_MAX_BYTES} is the limit"
        ));
    }
    Ok(())
}

/// About how much of a batch the message takes, in bytes.
pub(crate) fn wire_bytes(message: &OutgoingMessage) -> usize {
    message.body.len() + properties_bytes(message) + FRAME_BYTES
}

fn properties_bytes(message: &OutgoingMessage) -> usize {
    let own = message.properties.iter().map(|(name, value)| name.len() + value.len() + 2);
    own.sum::<usize>() + message.key.len() + message.tag.len()
}

/// The message as RocketMQ's client sends it; call [`check`] before.
pub(crate) fn to_wire(message: &OutgoingMessage, topic: String) -> Result<Message, PublishError> {
    let refused = |error: &dyn std::error::Error| PublishError::Refused(error.to_string());
    let mut wire = Message::builder().topic(topic).body(message.body.clone());
    if !message.tag.is_empty() {
        wire = wire.tags(&*message.tag);
    }
    if !message.key.is_empty() {
        wire = wire.key(&*message.key);
    }
    for (name, value) in &message.properties {
        wire = match value.contains(SEPARATORS) {
            true => wire.raw_property(name.as_str(), value.replace(SEPARATORS, " ")),
            false => wire.raw_property(name.as_str(), value.as_str()),
        }
        .map_err(|error| refused(&error))?;
    }
    match &message.destination {
        Destination::Topic(_) => {}
        Destination::Retry { topic, .. } => {
            wire = wire.property(MessagePropertyKey::RetryTopic, &**topic);
        }
        Destination::Dead { topic, .. } => {
            wire = wire.property(MessagePropertyKey::RetryTopic, &**topic);
            if !message.properties.contains_key(contracts::properties::ORIGIN_TOPIC) {
                wire = wire
                    .raw_property(contracts::properties::ORIGIN_TOPIC, &**topic)
                    .map_err(|error| refused(&error))?;
            }
        }
    }
    if let Some(delay) = message.delay {
        let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        wire = wire.delay_millis(millis.max(1));
    }
    Ok(wire.build_unchecked())
}

/// A delivered message as the port shows it.
pub(crate) fn from_wire(wire: &MessageExt, names: &Names) -> IncomingMessage {
    let get = |name: &str| wire.properties().get(name).map(|value| value.as_str());
    let origin = get(MessageConst::PROPERTY_RETRY_TOPIC)
        .or_else(|| get(MessageConst::PROPERTY_DLQ_ORIGIN_TOPIC))
        .unwrap_or_else(|| wire.topic().as_str());
    let properties: BTreeMap<String, String> = wire
        .properties()
        .iter()
        .filter(|(name, _)| !is_system(name.as_str()))
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect();
    IncomingMessage {
        topic: names.plain(origin).into(),
        tag: get(MessageConst::PROPERTY_TAGS).unwrap_or_default().into(),
        key: get(MessageConst::PROPERTY_KEYS).unwrap_or_default().into(),
        body: wire.body().unwrap_or_default(),
        properties: properties.into(),
        message_id: wire.msg_id().as_str().into(),
        broker_attempts: u32::try_from(wire.reconsume_times()).unwrap_or(0),
        born_at: at_millis(wire.born_timestamp()),
        stored_at: at_millis(wire.store_timestamp()),
        position: Position {
            broker: Arc::from(wire.broker_name()),
            queue: wire.queue_id(),
            offset: wire.queue_offset(),
        },
    }
}

/// A message as the broker stores it, as the port shows it.
pub(crate) fn from_frame(
    frame: &Frame,
    queue: &Queue,
    offset: i64,
    names: &Names,
    subscription: &Subscription,
) -> IncomingMessage {
    let properties = frame.properties();
    let origin = properties
        .get(MessageConst::PROPERTY_RETRY_TOPIC)
        .or_else(|| properties.get(MessageConst::PROPERTY_DLQ_ORIGIN_TOPIC))
        .unwrap_or_else(|| frame.topic());
    let origin = names.plain(origin);
    let tag = properties.get(MessageConst::PROPERTY_TAGS).unwrap_or_default();
    // Nearly all are of the topic and the tags that were subscribed to.
    let topic = Some(&subscription.topic).filter(|topic| ***topic == *origin);
    let known_tag = subscription.tags.iter().find(|known| ***known == *tag);
    IncomingMessage {
        topic: topic.cloned().unwrap_or_else(|| origin.into()),
        tag: known_tag.cloned().unwrap_or_else(|| tag.into()),
        key: properties.get(MessageConst::PROPERTY_KEYS).unwrap_or_default().into(),
        body: frame.body(),
        properties: Received::written(properties.clone(), is_system),
        message_id: message_id(frame.store_host(), frame.physical_offset()),
        broker_attempts: u32::try_from(frame.reconsume_times()).unwrap_or(0),
        born_at: at_millis(frame.born_at_ms()),
        stored_at: at_millis(frame.stored_at_ms()),
        position: queue.position(offset),
    }
}

/// As RocketMQ writes it: the broker's address and port, and the offset in its log, in hex.
fn message_id(store_host: &[u8], physical_offset: i64) -> Arc<str> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let bytes = store_host.iter().copied().chain(physical_offset.to_be_bytes());
    let mut text = [0_u8; 32];
    for (place, byte) in text.chunks_exact_mut(2).zip(bytes) {
        place.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    std::str::from_utf8(&text).expect("digits are ASCII").into()
}

/// Whether the property is RocketMQ's own; those never start with a small letter, ours do.
fn is_system(name: &str) -> bool {
    if name.starts_with(|first: char| first.is_ascii_lowercase()) {
        return false;
    }
    STRING_HASH_SET.contains(name)
        || MORE_SYSTEM_PROPERTIES.contains(&name)
        || name.starts_with("__RMQ.")
        || name.starts_with("TIMER_")
}

fn at_millis(millis: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(millis).unwrap_or_default()
}
