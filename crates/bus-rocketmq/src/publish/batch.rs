//! Several messages in one send, written straight in RocketMQ's format: the client would make a
//! map of each message's properties first, and that costs more than all the rest of a send.
//!
//! A message is: its length with this field, a magic number and a checksum (both 0), the application's
//! flag, the body's length and the body, the properties' length (two bytes) and the properties.
//! Numbers are big-endian. The flag says where the send ends, see [`crate::flag`].

use std::collections::HashMap;

use bytes::Bytes;
use common::bus::{OutgoingMessage, PublishError};
use rocketmq_model::common::message::message_batch::MessageBatch;
use rocketmq_model::common::message::message_client_id_setter::MessageClientIDSetter;
use rocketmq_model::common::message::message_single::Message;
use rocketmq_model::common::message::{MessageConst, STRING_HASH_SET};

use crate::flag;
use crate::message::{self, SEPARATORS};

/// Before the flag.
const FLAG_AT: usize = 12;
/// What the client's id of a message takes, as a property.
const UNIQUE_ID_BYTES: usize = 42;

/// The messages as one; call [`message::check`] on each before.
pub(super) fn of(messages: &[&OutgoingMessage], topic: &str) -> Result<MessageBatch, PublishError> {
    let size = |message: &&OutgoingMessage| message::wire_bytes(message) + UNIQUE_ID_BYTES;
    let mut body = Vec::with_capacity(messages.iter().map(size).sum());
    for (message, flag) in messages.iter().zip(flags(messages)) {
        write(message, flag, &mut body)?;
    }
    let mut whole = Message::builder().topic(topic).body(Bytes::from(body)).build_unchecked();
    MessageClientIDSetter::set_uniq_id(&mut whole);
    Ok(MessageBatch { final_message: whole, messages: Vec::new() })
}

/// Each message's flag: how far it is to the last one with its tag.
fn flags(messages: &[&OutgoingMessage]) -> Vec<i32> {
    let places = messages.iter().enumerate();
    let last: HashMap<&str, usize> =
        places.map(|(place, message)| (&*message.tag, place)).collect();
    let places = messages.iter().enumerate();
    places.map(|(place, message)| flag::of(last[&*message.tag] - place)).collect()
}

fn write(message: &OutgoingMessage, flag: i32, into: &mut Vec<u8>) -> Result<(), PublishError> {
    let start = into.len();
    into.extend([0; FLAG_AT]);
    into.extend(flag.to_be_bytes());
    into.extend(length(message.body.len()).to_be_bytes());
    into.extend_from_slice(&message.body);
    let properties = into.len();
    into.extend([0; 2]);
    let id = MessageClientIDSetter::create_uniq_id();
    property(MessageConst::PROPERTY_UNIQ_CLIENT_MESSAGE_ID_KEYIDX, &id, into);
    if !message.tag.is_empty() {
        property(MessageConst::PROPERTY_TAGS, &message.tag, into);
    }
    if !message.key.is_empty() {
        property(MessageConst::PROPERTY_KEYS, &message.key, into);
    }
    for (name, value) in &message.properties {
        if STRING_HASH_SET.contains(name.as_str()) {
            return Err(PublishError::Refused(format!("{name:?} is a property of RocketMQ's own")));
        }
        match value.contains(SEPARATORS) {
            true => property(name, &value.replace(SEPARATORS, " "), into),
            false => property(name, value, into),
        }
    }
    let written = length(into.len() - properties - 2);
    into[properties..properties + 2].copy_from_slice(&written.to_be_bytes()[2..]);
    let written = length(into.len() - start);
    into[start..start + 4].copy_from_slice(&written.to_be_bytes());
    Ok(())
}

fn property(name: &str, value: &str, into: &mut Vec<u8>) {
    into.extend_from_slice(name.as_bytes());
    into.push(1);
    into.extend_from_slice(value.as_bytes());
    into.push(2);
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("what is larger was refused")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use common::bus::Destination;
    use rocketmq_model::common::message::MessageTrait as _;
    use rocketmq_protocol::common::message::message_decoder;

    use super::*;

    fn outgoing(key: &str, properties: &[(&str, &str)]) -> OutgoingMessage {
        OutgoingMessage {
            destination: Destination::Topic("TOPIC".into()),
            tag: "TAG".into(),
            key: key.into(),
            body: Bytes::from(format!("{{\"order\":\"{key}\"}}")),
            properties: properties
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect::<BTreeMap<_, _>>(),
            delay: None,
        }
    }

    /// What the client would send, without what differs from run to run and the flag to wait, which
    /// is the default.
    fn by_the_client(message: &OutgoingMessage) -> Vec<u8> {
        let wire = crate::message::to_wire(message, "TOPIC".to_owned()).unwrap();
        message_decoder::encode_message(&wire).to_vec()
    }

    /// Each message's fixed part without the flag, its body, and its properties in order but for the
    /// client's own.
    fn read(mut bytes: &[u8]) -> Vec<(Vec<u8>, Vec<u8>, Vec<String>)> {
        let mut messages = Vec::new();
        while !bytes.is_empty() {
            let number =
                |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
            let (total, body) = (number(0), number(16));
            let properties = &bytes[20 + body + 2..total];
            let told = u16::from_be_bytes(bytes[20 + body..20 + body + 2].try_into().unwrap());
            assert_eq!(usize::from(told), properties.len());
            let mut properties: Vec<String> = std::str::from_utf8(properties)
                .unwrap()
                .split_terminator('\u{2}')
                .filter(|one| !one.starts_with("UNIQ_KEY\u{1}") && *one != "WAIT\u{1}true")
                .map(str::to_owned)
                .collect();
            properties.sort();
            messages.push((bytes[4..FLAG_AT].to_vec(), bytes[20..20 + body].to_vec(), properties));
            bytes = &bytes[total..];
        }
        messages
    }

    #[test]
    fn a_batch_is_what_the_client_would_write() {
        let messages = [
            outgoing("A1", &[("eventId", "7"), ("odd", "a\u{1}b\u{2}c"), ("empty", "")]),
            outgoing("", &[]),
            outgoing("A3", &[("name", "Zürich")]),
        ];
        let batch = of(&messages.iter().collect::<Vec<_>>(), "TOPIC").unwrap();
        let written = batch.final_message.get_body().unwrap().clone();
        let expected: Vec<u8> = messages.iter().flat_map(by_the_client).collect();
        assert_eq!(read(&written), read(&expected));
    }

    #[test]
    fn each_message_says_how_far_the_last_of_its_tag_is() {
        let messages = ["A", "B", "A", "A", "C"].map(|tag| {
            let mut message = outgoing("", &[]);
            message.tag = tag.into();
            message
        });
        let refs: Vec<_> = messages.iter().collect();
        let expected: Vec<i32> = [3, 0, 1, 0, 0].map(flag::of).to_vec();
        assert_eq!(flags(&refs), expected);
        let batch = of(&refs, "TOPIC").unwrap();
        let body = batch.final_message.get_body().unwrap();
        assert_eq!(body[FLAG_AT..16], expected[0].to_be_bytes());
    }

    #[test]
    fn each_message_has_an_id_of_its_own() {
        let messages = [outgoing("A1", &[]), outgoing("A2", &[])];
        let batch = of(&messages.iter().collect::<Vec<_>>(), "TOPIC").unwrap();
        let written = batch.final_message.get_body().unwrap().clone();
        let text = String::from_utf8_lossy(&written);
        let ids: Vec<&str> = text.split("UNIQ_KEY\u{1}").skip(1).map(|rest| &rest[..32]).collect();
        assert!(ids.len() == 2 && ids[0] != ids[1], "{ids:?}");
    }

    #[test]
    fn a_property_of_rocketmqs_own_is_refused() {
        let message = outgoing("A1", &[("KEYS", "x")]);
        assert!(matches!(of(&[&message], "TOPIC"), Err(PublishError::Refused(_))));
    }
}
