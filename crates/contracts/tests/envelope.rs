//! The envelope: what is absent, what is malformed, and which ids are derived.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use contracts::{Envelope, derived_event_id, properties};

fn good() -> BTreeMap<String, String> {
    let pairs = [
        ("KEYS", "A1"),
        ("eventId", "019aa563-8000-7b3c-9d4e-5f60718293a4"),
        ("schemaVersion", "1"),
        ("aggregateVersion", "3"),
        ("occurredAt", "2026-11-21T07:12:19.5Z"),
        ("producer", "order-worker/0.1.0"),
        ("causationId", "019aa563-7f00-7a11-8c22-0123456789ab"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

#[track_caller]
fn refuses(name: &str, value: &str, expected: &str) {
    let mut properties = good();
    properties.insert(name.to_owned(), value.to_owned());
    assert_eq!(Envelope::read(&properties).unwrap_err().to_string(), expected);
}

#[test]
fn a_message_without_properties_has_no_envelope() {
    assert_eq!(Envelope::read(&BTreeMap::new()), Ok(None));
    let keys = BTreeMap::from([(properties::KEYS.to_owned(), "A1".to_owned())]);
    assert_eq!(Envelope::read(&keys), Ok(None));
}

#[test]
fn what_is_read_is_what_was_written() {
    let envelope = Envelope::read(&good()).unwrap().unwrap();
    let mut written = envelope.to_properties();
    assert_eq!(
        written.insert(properties::OCCURRED_AT.into(), "2026-11-21T07:12:19.5Z".into()),
        Some("2026-11-21T07:12:19.500Z".into())
    );
    assert_eq!(written, good());
}

#[test]
fn properties_of_retries_and_of_others_are_no_hindrance() {
    let mut properties = good();
    for name in [properties::ATTEMPT, properties::ERROR, "RETRY_TOPIC", "UNIQ_KEY"] {
        properties.insert(name.to_owned(), "x".to_owned());
    }
    assert_eq!(Envelope::read(&properties), Envelope::read(&good()));
}

#[test]
fn a_malformed_property_is_named() {
    refuses("eventId", "7", "eventId: expected a UUID, found \"7\"");
    refuses("causationId", "", "causationId: expected a UUID, found \"\"");
    refuses("schemaVersion", "one", "schemaVersion: expected a version number, found \"one\"");
    refuses("aggregateVersion", "1.5", "aggregateVersion: expected an integer, found \"1.5\"");
    refuses("occurredAt", "today", "occurredAt: expected an RFC 3339 time, found \"today\"");
}

#[test]
fn an_unknown_schema_version_is_refused_even_without_an_event_id() {
    let expected = "schemaVersion: version 2 is unknown, this build reads 1 to 1";
    refuses("schemaVersion", "2", expected);
    refuses("schemaVersion", "0", "schemaVersion: version 0 is unknown, this build reads 1 to 1");
    let alone = BTreeMap::from([("schemaVersion".to_owned(), "2".to_owned())]);
    assert_eq!(Envelope::read(&alone).unwrap_err().to_string(), expected);
}

#[test]
fn an_envelope_needs_its_version_and_its_time() {
    for name in ["schemaVersion", "occurredAt"] {
        let mut properties = good();
        properties.remove(name);
        let error = Envelope::read(&properties).unwrap_err();
        assert_eq!(error.to_string(), format!("{name}: required, but absent"));
    }
    for name in ["KEYS", "aggregateVersion", "producer", "causationId", "traceparent"] {
        let mut properties = good();
        properties.remove(name);
        assert!(Envelope::read(&properties).unwrap().is_some(), "{name}");
    }
}

#[test]
fn a_derived_id_depends_on_every_part_and_on_nothing_else() {
    let time: DateTime<Utc> = "2026-11-21T07:12:19.553003312Z".parse().unwrap();
    let id = derived_event_id("T", "A1", "CREATED", b"{}", Some(time));
    assert_eq!(id, derived_event_id("T", "A1", "CREATED", b"{}", Some(time)));
    // Pinned: another value would let a redelivery across a rollout through the inbox.
    assert_eq!(id.to_string(), "01a1fcf2-e661-741a-b52c-6d81c1b9e67c");
    let others = [
        derived_event_id("U", "A1", "CREATED", b"{}", Some(time)),
        derived_event_id("T", "A2", "CREATED", b"{}", Some(time)),
        derived_event_id("T", "A1", "PAID", b"{}", Some(time)),
        derived_event_id("T", "A1", "CREATED", b"{ }", Some(time)),
        derived_event_id("TA", "1", "CREATED", b"{}", Some(time)),
        derived_event_id("T", "A1", "CREATED", b"{}", None),
    ];
    let distinct: BTreeSet<_> = others.into_iter().chain([id]).collect();
    assert_eq!(distinct.len(), 7);
}

#[test]
fn a_derived_id_is_a_uuid_v7_of_the_event_time() {
    let time: DateTime<Utc> = "2026-11-21T07:12:19.553Z".parse().unwrap();
    let id = derived_event_id("T", "A1", "CREATED", b"{}", Some(time));
    assert_eq!(id.get_version_num(), 7);
    assert_eq!(id.get_variant(), uuid::Variant::RFC4122);
    assert_eq!(id.as_u128() >> 80, u128::try_from(time.timestamp_millis()).unwrap());

    let without_time = derived_event_id("T", "A1", "CREATED", b"{}", None);
    assert_eq!(without_time.as_u128() >> 80, 0);
    let before_1970 = derived_event_id("T", "A1", "CREATED", b"{}", Some(DateTime::<Utc>::MIN_UTC));
    assert_eq!(before_1970.as_u128() >> 80, 0);
    let far = derived_event_id("T", "A1", "CREATED", b"{}", Some(DateTime::<Utc>::MAX_UTC));
    assert_eq!(far.get_version_num(), 7);
}
