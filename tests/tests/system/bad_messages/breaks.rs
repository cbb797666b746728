//! Each way to break a message of each tag.

use common::bus::OutgoingMessage;
use contracts::{Tag, properties, topics};
use serde_json::{Value, json};

use crate::messages::{enveloped, golden, tagged};

/// A message that can't be read.
pub(super) struct Bad {
    /// Its key is its own.
    pub(super) message: OutgoingMessage,
    pub(super) tag: Tag,
    /// Who takes the tag.
    pub(super) group: &'static str,
    /// How the archive's cause begins.
    pub(super) reason: String,
}

/// A way to break a message.
#[derive(Debug, Clone, Copy)]
enum Break {
    /// It ends in the middle; and it has no envelope.
    Cut,
    NoObject,
    MissingField,
    MistypedField,
    /// It says another thing than its tag.
    OtherTagsBody,
    UnknownVersion,
}

const BREAKS: [Break; 6] = [
    Break::Cut,
    Break::NoObject,
    Break::MissingField,
    Break::MistypedField,
    Break::OtherTagsBody,
    Break::UnknownVersion,
];

/// Every tag that some group takes, broken in every way.
pub(super) fn all_bad() -> Vec<Bad> {
    let taken = Tag::ALL.into_iter().filter_map(|tag| Some((tag, taker(tag)?)));
    taken.flat_map(|(tag, group)| BREAKS.map(|how| broken(tag, group, how))).collect()
}

fn broken(tag: Tag, group: &'static str, how: Break) -> Bad {
    let key = format!("{tag}-{how:?}");
    let good = golden(tag);
    let envelope = |body: &Value| enveloped(tagged(tag, &key, body)).0;
    let (message, reason) = match how {
        Break::Cut => {
            let mut message = tagged(tag, &key, &good);
            message.body.truncate(message.body.len() / 2);
            (message, "body: not JSON: EOF while parsing".to_owned())
        }
        Break::NoObject => (envelope(&json!([good])), "body: expected a JSON object".to_owned()),
        Break::MissingField => {
            let field = required(tag);
            (envelope(&with(good, field, Value::Null)), format!("{field}: required, but absent"))
        }
        Break::MistypedField => {
            let (field, value, problem) = mistyped(tag);
            (envelope(&with(good, field, value)), format!("{field}: {problem}"))
        }
        Break::OtherTagsBody => {
            let (field, value, problem) = of_another_tag(tag);
            (envelope(&with(good, field, value.into())), format!("{field}: {problem}"))
        }
        Break::UnknownVersion => {
            let mut message = envelope(&good);
            message.properties.insert(properties::SCHEMA_VERSION.to_owned(), "2".to_owned());
            (message, "schemaVersion: version 2 is unknown, this build reads 1 to 1".to_owned())
        }
    };
    Bad { message, tag, group, reason }
}

fn with(mut body: Value, field: &str, value: Value) -> Value {
    body[field] = value;
    body
}

/// The group that takes a tag, as the contract says; none for those that we only publish.
fn taker(tag: Tag) -> Option<&'static str> {
    match tag {
        Tag::OrderCreate => Some(topics::ORDER_INTAKE_GROUP),
        Tag::OrderCreated | Tag::OrderPaid | Tag::OrderCancelled => Some(topics::STOCK_ORDER_GROUP),
        Tag::OrderReserved | Tag::OrderConfirmed | Tag::OrderRefunded => None,
        Tag::StockDeducted | Tag::StockRejected | Tag::StockConfirmed | Tag::StockRolledBack => {
            Some(topics::ORDER_STOCK_GROUP)
        }
        Tag::StockDeduct | Tag::StockRollback | Tag::StockSync => Some(topics::STOCK_COMMAND_GROUP),
        Tag::SaleChanged => Some(topics::ORDER_SALE_GROUP),
        Tag::Sms => Some(topics::NOTIFY_SMS_GROUP),
        Tag::Email => Some(topics::NOTIFY_EMAIL_GROUP),
        Tag::Push => Some(topics::NOTIFY_PUSH_GROUP),
    }
}

/// A field that the tag's body can't be without.
fn required(tag: Tag) -> &'static str {
    match (tag, tag.topic()) {
        (Tag::SaleChanged, _) => "version",
        (_, topics::ORDER_TOPIC) => "orderNo",
        (_, topics::STOCK_TOPIC) => "operation",
        (_, _) => "template",
    }
}

/// A field, a value that it can't have, and what is said of it.
fn mistyped(tag: Tag) -> (&'static str, Value, &'static str) {
    match (tag, tag.topic()) {
        (Tag::SaleChanged, _) => ("ticketTypes", json!(3), "expected an array, found 3"),
        (_, topics::STOCK_TOPIC) => {
            ("sessionId", json!(true), "expected a 64-bit integer, found true")
        }
        (_, _) => ("userId", json!("seven"), "expected a 64-bit integer, found \"seven\""),
    }
}

/// The field that says what the message is, what it would be under another tag, and what is said
/// of that.
fn of_another_tag(tag: Tag) -> (&'static str, &'static str, String) {
    let (field, value) = match tag {
        Tag::SaleChanged => {
            return ("operation", "SYNC", "expected SALE_CHANGED, found \"SYNC\"".to_owned());
        }
        Tag::OrderCreate => ("eventType", "PAID"),
        Tag::StockDeduct | Tag::StockRollback | Tag::StockSync => ("operation", "DEDUCTED"),
        Tag::Sms | Tag::Email => ("channel", "PUSH"),
        Tag::Push => ("channel", "SMS"),
        _ if tag.topic() == topics::ORDER_TOPIC => ("eventType", "CREATE"),
        _ => ("operation", "DEDUCT"),
    };
    (field, value, format!("{value} does not belong to tag {tag}"))
}
