//! Messages as other services write them.

use bytes::Bytes;
use common::bus::{Destination, OutgoingMessage};
use common::{clock, ids};
use contracts::{Envelope, Tag, WRITE_VERSION};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::stage::{FLOOR, SESSION};

/// A message without an envelope, as Java services send it.
pub(crate) fn bare(topic: &str, tag: &str, key: &str, body: impl Into<Bytes>) -> OutgoingMessage {
    OutgoingMessage {
        destination: Destination::Topic(topic.into()),
        tag: tag.into(),
        key: key.into(),
        body: body.into(),
        properties: Default::default(),
        delay: None,
    }
}

/// The same for a tag of the contract.
pub(crate) fn tagged(tag: Tag, key: &str, body: &Value) -> OutgoingMessage {
    bare(tag.topic(), tag.as_str(), key, body.to_string())
}

/// Gives a message an envelope of its own; answers its event's id, too.
pub(crate) fn enveloped(mut message: OutgoingMessage) -> (OutgoingMessage, Uuid) {
    let event_id = ids::event_id();
    let envelope = Envelope {
        // The message itself carries it.
        key: String::new(),
        event_id,
        schema_version: WRITE_VERSION,
        aggregate_version: 0,
        occurred_at: clock::now(),
        producer: "system-test/1".to_owned(),
        causation_id: None,
        traceparent: None,
    };
    message.properties = envelope.to_properties();
    (message, event_id)
}

/// The body of the golden file of a tag.
pub(crate) fn golden(tag: Tag) -> Value {
    let name = format!("tests/contracts/{}.v{WRITE_VERSION}.json", tag.as_str().to_lowercase());
    let mut golden: Value =
        serde_json::from_str(&tests::read(name)).expect("golden files are JSON");
    golden["body"].take()
}

/// The golden body, but about this order: a ticket of our show.
pub(crate) fn about(tag: Tag, order_no: &str) -> Value {
    let mut body = golden(tag);
    body["orderNo"] = order_no.into();
    body["sessionId"] = SESSION.get().into();
    body["ticketId"] = FLOOR.into();
    body["quantity"] = 1.into();
    body["currency"] = "EUR".into();
    body["items"] = json!([{ "ticketId": FLOOR, "quantity": 1, "unitPrice": "79.00" }]);
    body
}

/// The number of an order that is not made yet.
pub(crate) fn new_order_no() -> String {
    ids::order_no(SESSION).to_string()
}

/// `ORDER_CREATE` of some tickets, paid at once.
pub(crate) fn order_create(
    order_no: &str,
    user_id: i64,
    ticket_id: i64,
    quantity: i64,
) -> OutgoingMessage {
    let body = json!({
        "orderNo": order_no, "sessionId": SESSION.get(), "userId": user_id,
        "ticketId": ticket_id, "quantity": quantity, "paymentMethod": "instant",
    });
    tagged(Tag::OrderCreate, order_no, &body)
}

/// Another service's order, with its number: our stock holds a ticket for it, and gets it back.
pub(crate) fn foreign_hold() -> (String, Vec<OutgoingMessage>) {
    let order_no = new_order_no();
    let said = [(Tag::StockDeduct, "DEDUCT"), (Tag::StockRollback, "ROLLBACK")];
    let messages = said.map(|(tag, operation)| {
        let body = json!({
            "ticketId": FLOOR, "quantity": 1, "operation": operation, "orderNo": order_no,
        });
        tagged(tag, &order_no, &body)
    });
    (order_no.clone(), messages.into())
}
