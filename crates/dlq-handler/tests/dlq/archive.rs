use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use common::bus::memory::{DeliveryOrder, MemoryBus, MemoryOptions};
use common::bus::{BODY_MAX_BYTES, IncomingMessage, OutgoingMessage, Position, Publisher as _};
use common::clock;
use common::pipeline::GiveBack;
use contracts::properties as names;
use dlq_handler::domain::Status;

use crate::stage::{GROUP, OTHER_GROUP, Stage, TOPIC, dead, event_id, message};

fn with(mut message: OutgoingMessage, name: &str, value: &str) -> OutgoingMessage {
    message.properties.insert(name.to_owned(), value.to_owned());
    message
}

fn without(mut message: OutgoingMessage, name: &str) -> OutgoingMessage {
    message.properties.remove(name);
    message
}

/// Every kind of message that can lie in a dead-letter queue.
fn kinds() -> Vec<(&'static str, OutgoingMessage)> {
    let binary = Bytes::from_static(b"\x00\xff\xfe not UTF-8 \x80");
    let large = Bytes::from(vec![0xAB_u8; BODY_MAX_BYTES]);
    let bare = |key, body: Bytes| message(GROUP, key, body, BTreeMap::new());
    let java = Bytes::from_static(br#"{"orderNo":"J1","totalAmount":null,"eventType":"CREATED"}"#);
    let untagged = OutgoingMessage { tag: "".into(), ..dead(GROUP, "untagged") };
    vec![
        ("with an envelope", dead(GROUP, "A1")),
        ("of a Java service", bare("", java)),
        ("not UTF-8", bare("B1", binary)),
        ("of 4 MiB", bare("C1", large)),
        ("without key, properties or JSON", bare("", Bytes::from_static(b"x"))),
        ("without a tag", untagged),
        ("without a cause", without(dead(GROUP, "D1"), names::ERROR)),
        ("with an event id that is none", with(dead(GROUP, "E1"), names::EVENT_ID, "seven")),
        ("of an unknown version", with(dead(GROUP, "F1"), names::SCHEMA_VERSION, "99")),
        ("with an impossible count", with(dead(GROUP, "G1"), names::ATTEMPT, "4294967295")),
        ("with zeros in its texts", with(dead(GROUP, "H\0 1"), names::ERROR, "1: a\0b")),
        ("with zeros in a property", with(dead(GROUP, "I1"), "na\0me", "va\0lue")),
        ("with a key beyond any index", dead(GROUP, &"K".repeat(20_000))),
        ("of another group", dead(OTHER_GROUP, "L1")),
    ]
}

#[tokio::test]
async fn every_kind_of_dead_letter_is_archived_once_however_often_it_comes() {
    let order = DeliveryOrder::Shuffled { seed: 7 };
    let options = MemoryOptions { copies: 2, order, ..MemoryOptions::default() };
    let stage = Stage::on(MemoryBus::new(options), |_| {}).await;
    let kinds = kinds();
    // Each is delivered twice by the bus, and published twice by its worker.
    for _ in 0..2 {
        for (_, message) in &kinds {
            stage.publish(message.clone()).await;
        }
    }
    stage.drained().await;
    let letters = stage.archived(kinds.len()).await;
    assert_eq!(letters.len(), kinds.len(), "{letters:#?}");
    for (kind, message) in &kinds {
        let mut found = Vec::new();
        for letter in &letters {
            let full = stage.full(letter).await;
            if full.body == message.body && full.key == message.key.replace('\0', "\u{FFFD}") {
                found.push(full);
            }
        }
        let [full] = found.as_slice() else { panic!("{kind}: {} were found", found.len()) };
        assert_eq!(full.deaths.len(), 1, "{kind}");
        assert_eq!(full.summary.deaths, 1, "{kind}");
        assert_eq!(full.summary.status, Status::Waiting, "{kind}");
        assert_eq!(full.summary.origin_topic.as_deref(), Some(TOPIC), "{kind}");
        assert_eq!(full.summary.tag, *message.tag, "{kind}");
        for (name, value) in &message.properties {
            assert_eq!(full.properties.get(name), Some(value), "{kind}");
        }
        assert_eq!(full.deaths[0].broker, "memory", "{kind}");
        assert!(full.deaths[0].message_id.starts_with("memory-"), "{kind}");
    }
    stage.end().await;
}

#[tokio::test]
async fn a_dead_letter_keeps_the_causes_of_all_its_attempts() {
    let stage = Stage::new().await;
    let first = dead(GROUP, "A1");
    let mut incoming = IncomingMessage {
        topic: TOPIC.into(),
        tag: first.tag.clone(),
        key: first.key.clone(),
        body: first.body.clone(),
        properties: without(without(first.clone(), names::ATTEMPT), names::ERROR).properties.into(),
        message_id: "m".into(),
        broker_attempts: 0,
        born_at: clock::now(),
        stored_at: clock::now(),
        position: Position::default(),
    };
    // As the pipeline does it: given back with its cause until the last attempt.
    for cause in ["too early", "still too early", "no such ticket type"] {
        let ladder = [Duration::from_secs(1)];
        let back = GiveBack::retry(incoming.clone(), cause.to_owned(), 3, &ladder);
        let message = back.to_message(GROUP, "stock-worker/1.2.3");
        if back.is_dead() {
            stage.publish(message).await;
        } else {
            incoming.properties = message.properties.into();
        }
    }
    let letters = stage.archived(1).await;
    let full = stage.full(&letters[0]).await;
    let death = &full.deaths[0];
    assert_eq!(death.cause, "no such ticket type");
    assert_eq!(death.causes, "3: no such ticket type\n2: still too early\n1: too early");
    assert_eq!((death.attempt, full.summary.attempts), (3, 3));
    assert_eq!(full.summary.cause, "no such ticket type");
    assert_eq!(full.summary.worker.as_deref(), Some("stock-worker"));
    assert_eq!(full.summary.worker_version.as_deref(), Some("1.2.3"));
    assert_eq!(full.summary.event_id.to_string(), event_id(&first));
    assert_eq!(full.summary.order_no.as_deref(), Some("A1"));
    stage.end().await;
}

#[tokio::test]
async fn one_event_may_die_in_two_groups_and_one_event_id_may_be_two_messages() {
    let stage = Stage::new().await;
    let one = dead(GROUP, "A1");
    let elsewhere =
        OutgoingMessage { destination: dead(OTHER_GROUP, "A1").destination, ..one.clone() };
    let same_id = OutgoingMessage { body: Bytes::from_static(b"{}"), ..one.clone() };
    for message in [one.clone(), elsewhere, same_id, one] {
        stage.publish(message).await;
    }
    stage.drained().await;
    let letters = stage.archived(3).await;
    assert_eq!(letters.len(), 3, "{letters:#?}");
    assert!(letters.iter().all(|letter| letter.event_id == letters[0].event_id));
    stage.end().await;
}

#[tokio::test]
async fn what_died_before_the_worker_started_is_archived_too() {
    let bus = MemoryBus::default();
    let answers = bus.publish(vec![dead(GROUP, "early")]).await;
    assert_eq!(answers, [Ok(())]);
    let stage = Stage::on(bus, |_| {}).await;
    let letters = stage.archived(1).await;
    assert_eq!(letters[0].order_no.as_deref(), Some("early"));
    stage.end().await;
}
