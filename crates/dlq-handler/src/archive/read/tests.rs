use bytes::Bytes;
use common::bus::Position;

use super::*;

fn incoming(properties: &[(&str, &str)]) -> IncomingMessage {
    IncomingMessage {
        topic: "ORDER_TOPIC".into(),
        tag: "ORDER_CREATED".into(),
        key: "".into(),
        body: Bytes::from_static(br#"{"orderNo":"A1"}"#),
        properties: properties
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        message_id: "m".into(),
        broker_attempts: 3,
        born_at: DateTime::from_timestamp(1_800_000_000, 0).expect("a time"),
        stored_at: DateTime::from_timestamp(1_800_000_001, 0).expect("a time"),
        position: Position::default(),
    }
}

#[test]
fn a_message_without_an_event_id_gets_the_same_one_each_time() {
    let letter = dead_letter(&incoming(&[]));
    let again = dead_letter(&incoming(&[(names::ATTEMPT, "2"), (names::ERROR, "2: no")]));
    assert!(letter.derived);
    assert_eq!((letter.event_id, letter.content_hash), (again.event_id, again.content_hash));
    let other = dead_letter(&IncomingMessage { key: "B2".into(), ..incoming(&[]) });
    assert_ne!(letter.event_id, other.event_id);
}

#[test]
fn a_readable_message_without_an_envelope_has_the_id_that_its_consumers_inbox_knows() {
    let order = br#"{"orderNo":"A1","userId":7,"sessionId":3,"ticketId":5,"quantity":2,
                     "eventType":"CREATED","eventTime":"2026-11-21T07:12:19.553003312"}"#;
    let message = OrderEventMessage::read(Tag::OrderCreated, order).expect("readable");
    let expected = Envelope::derived("ORDER_TOPIC", &message, order).event_id;
    let incoming = IncomingMessage { body: Bytes::from_static(order), ..incoming(&[]) };
    let letter = dead_letter(&incoming);
    assert_eq!((letter.event_id, letter.derived), (expected, true));
}

#[test]
fn an_event_id_that_is_none_is_derived() {
    assert!(dead_letter(&incoming(&[(names::EVENT_ID, "seven")])).derived);
}

#[test]
fn the_order_is_the_key_or_what_the_body_says() {
    assert_eq!(dead_letter(&incoming(&[])).order_no.as_deref(), Some("A1"));
    let keyed = IncomingMessage { key: "K".into(), ..incoming(&[]) };
    assert_eq!(dead_letter(&keyed).order_no.as_deref(), Some("K"));
    for body in [&b"\xff\xfe"[..], b"{}", br#"{"orderNo":7}"#, br#"{"orderNo":""}"#] {
        let nameless = IncomingMessage { body: Bytes::from_static(body), ..incoming(&[]) };
        assert_eq!(dead_letter(&nameless).order_no, None);
    }
}

#[test]
fn a_dead_letter_queue_is_no_place_of_origin() {
    let from = |topic: &str, properties| {
        let message = IncomingMessage { topic: topic.into(), ..incoming(properties) };
        dead_letter(&message).origin_topic
    };
    assert_eq!(from("%DLQ%order-stock", &[]), None);
    let recorded = &[(names::ORIGIN_TOPIC, "STOCK_TOPIC")];
    assert_eq!(from("%DLQ%order-stock", recorded).as_deref(), Some("STOCK_TOPIC"));
    assert_eq!(from("ORDER_TOPIC", &[(names::ORIGIN_TOPIC, "")]).as_deref(), Some("ORDER_TOPIC"));
}

#[test]
fn the_worker_that_failed_is_named_with_its_version() {
    let of = |properties| {
        let death = dead_letter(&incoming(properties)).death;
        (death.worker, death.worker_version)
    };
    let (name, version) = (Some("w".to_owned()), Some("1.2".to_owned()));
    assert_eq!(of(&[(names::WORKER, "w/1.2")]), (name.clone(), version.clone()));
    assert_eq!(of(&[(names::WORKER, "w"), (names::WORKER_VERSION, "1.2")]), (name, version));
    assert_eq!(of(&[]), (None, None));
}

#[test]
fn attempts_are_what_we_counted_or_what_the_broker_did() {
    assert_eq!(dead_letter(&incoming(&[(names::ATTEMPT, "8")])).death.attempt, 8);
    assert_eq!(dead_letter(&incoming(&[(names::ATTEMPT, "-1")])).death.attempt, 3);
    assert_eq!(dead_letter(&incoming(&[])).death.attempt, 3);
}

#[test]
fn the_age_of_an_event_is_that_of_its_id_and_of_a_message_without_one_that_of_its_birth() {
    let born_at = incoming(&[]).born_at;
    assert_eq!(dead_letter(&incoming(&[])).event_at(), born_at);
    let made_at = |seconds| {
        let time = uuid::Timestamp::from_unix(uuid::NoContext, seconds, 0);
        let id = Uuid::new_v7(time).to_string();
        dead_letter(&incoming(&[(names::EVENT_ID, &id)])).event_at().timestamp()
    };
    assert_eq!(made_at(1_700_000_000), 1_700_000_000);
    assert_eq!(made_at(1_900_000_000), born_at.timestamp(), "nothing is born before it is made");
    let random = [(names::EVENT_ID, "6b1b36cb-0fcf-4f6c-8d0b-5d8e2a1b7c11")];
    assert_eq!(dead_letter(&incoming(&random)).event_at(), born_at);
}
