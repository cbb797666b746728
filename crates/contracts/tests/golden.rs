//! What we write is what the golden files say, and we read what they say.
//!
//! `tests/contracts/<tag>.v<version>.json` holds a message as it lies on the broker: topic, tag,
//! user properties, body. Producers of other services can be tested against the same files. The
//! `java_*` files are what Java services really send.

#[path = "golden/samples.rs"]
mod samples;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use contracts::{
    Amount, Body, Envelope, Notification, NotificationMessage, OrderEventMessage, OrderNo,
    Quantity, StockEventMessage, StockOperation, Tag, TicketId, WRITE_VERSION,
};
use samples::{Message, sample};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Golden {
    topic: String,
    tag: String,
    properties: BTreeMap<String, String>,
    body: Value,
}

impl Golden {
    fn load(name: &str) -> Self {
        let path = folder().join(format!("{name}.json"));
        let text = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn of(tag: Tag) -> Self {
        Self::load(&format!("{}.v{WRITE_VERSION}", tag.as_str().to_lowercase()))
    }

    fn tag(&self) -> Tag {
        self.tag.parse().expect("the file names a known tag")
    }

    fn read<B: Body>(&self) -> B {
        B::read(self.tag(), &self.bytes()).expect("a golden body can be read")
    }

    fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(&self.body).expect("JSON can be written")
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/contracts")
}

fn written(message: &impl Body) -> Value {
    let body = message.to_body().expect("a sample can be written");
    serde_json::from_slice(&body).expect("what was written is JSON")
}

#[test]
fn a_producer_writes_the_golden_message_of_every_tag() {
    for tag in Tag::ALL {
        let golden = Golden::of(tag);
        let (envelope, message) = sample(tag);
        let body = match &message {
            Message::Order(message) => written(message),
            Message::Stock(message) => written(message),
            Message::Sale(message) => written(message),
            Message::Notification(message) => written(message),
        };
        assert_eq!(golden.topic, tag.topic(), "{tag}");
        assert_eq!(golden.tag(), tag);
        assert_eq!(golden.properties, envelope.to_properties(), "{tag}");
        assert_eq!(golden.body, body, "{tag}");
    }
}

#[test]
fn a_consumer_reads_the_golden_message_of_every_tag() {
    for tag in Tag::ALL {
        let golden = Golden::of(tag);
        let (envelope, message) = sample(tag);
        let read = Envelope::read(&golden.properties).expect("a golden envelope can be read");
        assert_eq!(read, Some(envelope), "{tag}");
        match message {
            Message::Order(message) => assert_eq!(golden.read::<OrderEventMessage>(), message),
            Message::Stock(message) => assert_eq!(golden.read::<StockEventMessage>(), message),
            Message::Sale(message) => assert_eq!(golden.read::<contracts::SaleChanged>(), message),
            Message::Notification(message) => {
                assert_eq!(golden.read::<NotificationMessage>(), message);
            }
        }
    }
}

#[test]
fn every_golden_file_is_read_by_a_test() {
    let java = [
        "java_order_created.v1",
        "java_order_paid.v1",
        "java_stock_confirm.v1",
        "java_stock_deduct.v1",
        "java_sms.v1",
    ];
    let tags = Tag::ALL.map(|tag| format!("{}.v{WRITE_VERSION}", tag.as_str().to_lowercase()));
    let known: Vec<_> = java.into_iter().chain(tags.iter().map(String::as_str)).collect();
    for entry in fs::read_dir(folder()).expect("the folder of golden files") {
        let path = entry.expect("an entry of the folder").path();
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a file name");
        assert!(known.contains(&name), "no test reads {name}");
    }
}

#[test]
fn a_java_order_created_has_no_price_no_items_and_no_envelope() {
    let golden = Golden::load("java_order_created.v1");
    assert_eq!(Envelope::read(&golden.properties), Ok(None));
    let message: OrderEventMessage = golden.read();
    assert_eq!(message.total_amount, None);
    assert_eq!(message.items, None);
    let lines = message.lines().expect("the flat fields are a line");
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].ticket_id, TicketId(30011));
    assert_eq!(lines[0].quantity, Quantity::new(2).unwrap());
    assert_eq!(lines[0].unit_price, None);
    let time = message.event_time.expect("Java sets the time");
    assert_eq!(time.to_string(), "2026-11-21T07:12:19.553003312");
}

#[test]
fn a_java_message_gets_the_same_envelope_each_time() {
    let golden = Golden::load("java_order_created.v1");
    let message: OrderEventMessage = golden.read();
    let body = golden.bytes();
    let first = Envelope::derived(&golden.topic, &message, &body);
    assert_eq!(first, Envelope::derived(&golden.topic, &message, &body));
    assert_eq!(first.key, message.order_no.as_str());
    assert_eq!(Some(first.occurred_at), message.event_time.map(contracts::LocalTime::utc));
    assert_eq!(Envelope::read(&first.to_properties()), Ok(Some(first)));
}

#[test]
fn a_java_amount_is_a_number_and_is_passed_on_as_a_string() {
    let message: OrderEventMessage = Golden::load("java_order_paid.v1").read();
    assert_eq!(message.total_amount, Some("199.00".parse::<Amount>().unwrap()));
    assert_eq!(written(&message)["totalAmount"], "199.00");
}

#[test]
fn java_fields_that_we_do_not_know_are_passed_on() {
    let golden = Golden::load("java_order_paid.v1");
    let message: OrderEventMessage = golden.read();
    let written = written(&message);
    for name in ["payType", "remark", "weights"] {
        assert!(golden.body.get(name).is_some(), "the file lost {name}");
        assert_eq!(written.get(name), golden.body.get(name));
    }
    assert_eq!(written["extData"], golden.body["extData"]);
}

#[test]
fn java_sends_confirm_under_the_tag_stock_sync() {
    let message: StockEventMessage = Golden::load("java_stock_confirm.v1").read();
    assert_eq!(message.operation, StockOperation::Confirm);
    assert_eq!(message.session_id, None);
    assert_eq!(message.lines().unwrap()[0].ticket_id, TicketId(30011));
}

#[test]
fn a_java_deduct_names_its_order_and_its_line() {
    let message: StockEventMessage = Golden::load("java_stock_deduct.v1").read();
    assert_eq!(message.operation, StockOperation::Deduct);
    assert_eq!(message.order_no, Some(OrderNo::new("T20261121071219001").unwrap()));
    assert_eq!(message.user_id, None);
}

#[test]
fn a_java_notification_is_delivered_as_it_is() {
    let message: NotificationMessage = Golden::load("java_sms.v1").read();
    let Ok(Notification::Direct { address, content }) = message.view(contracts::Channel::Sms)
    else {
        panic!("not a direct notification");
    };
    assert_eq!(address.expose(), "+10000000000");
    assert_eq!(content.expose(), "Your order T20261121071219001 is paid.");
}
