//! What breaks a contract is refused with a message that names the field.

use contracts::{
    Body, Currency, MAX_BODY_BYTES, NotificationMessage, OrderEventMessage, OrderNo, Personal,
    ReadError, SaleChanged, StockEventMessage, Tag, WriteError,
};
use serde_json::{Value, json};

fn order() -> Value {
    json!({
        "orderNo": "A1", "userId": 7, "sessionId": 3, "ticketId": 5, "quantity": 2,
        "totalAmount": "20.00", "eventTime": "2026-11-21T07:00:00", "eventType": "CREATED",
        "items": [{ "ticketId": 5, "quantity": 2, "unitPrice": "10.00" }],
    })
}

fn stock(operation: &str) -> Value {
    json!({ "ticketId": 5, "quantity": 2, "operation": operation, "orderNo": "A1" })
}

fn sale() -> Value {
    json!({
        "operation": "SALE_CHANGED", "sessionId": 3, "showId": 1, "version": 4, "state": "open",
        "currency": "CHF", "perUserLimit": null,
        "ticketTypes": [{ "ticketId": 5, "name": "VIP", "unitPrice": "10.00", "soldOut": false }],
    })
}

fn notification() -> Value {
    json!({ "notificationId": "N1", "userId": 7, "channel": "SMS", "template": "paid" })
}

/// The body with one value set; a path like `items.0.quantity`.
fn with(mut body: Value, path: &str, value: Value) -> Value {
    let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
    let pointer = match parent {
        "" => String::new(),
        parent => format!("/{}", parent.replace('.', "/")),
    };
    body.pointer_mut(&pointer).expect("the path exists")[name] = value;
    body
}

fn without(mut body: Value, name: &str) -> Value {
    body.as_object_mut().expect("an object").remove(name).expect("the field was there");
    body
}

fn read<B: Body>(tag: Tag, body: &Value) -> Result<B, ReadError> {
    B::read(tag, &serde_json::to_vec(body).expect("JSON"))
}

#[track_caller]
fn refuses<B: Body>(tag: Tag, body: &Value, expected: &str) {
    match read::<B>(tag, body) {
        Ok(_) => panic!("accepted {body}, expected {expected:?}"),
        Err(error) => assert_eq!(error.to_string(), expected),
    }
}

#[track_caller]
fn refuses_order(path: &str, value: Value, expected: &str) {
    refuses::<OrderEventMessage>(Tag::OrderCreated, &with(order(), path, value), expected);
}

#[test]
fn the_bodies_these_tests_break_are_good() {
    read::<OrderEventMessage>(Tag::OrderCreated, &order()).unwrap();
    read::<StockEventMessage>(Tag::StockDeduct, &stock("DEDUCT")).unwrap();
    read::<SaleChanged>(Tag::SaleChanged, &sale()).unwrap();
    read::<NotificationMessage>(Tag::Sms, &notification()).unwrap();
}

#[test]
fn what_is_not_a_json_object_is_refused() {
    let read = |body: &[u8]| OrderEventMessage::read(Tag::OrderPaid, body).unwrap_err().to_string();
    assert!(read(b"").starts_with("body: not JSON: "));
    assert!(read(b"{\"orderNo\":").starts_with("body: not JSON: "));
    assert!(read(b"\xff\xfe").starts_with("body: not JSON: "));
    assert!(read(b"{} trailing").starts_with("body: not JSON: "));
    assert_eq!(read(b"[1]"), "body: expected a JSON object");
    assert_eq!(read(b"null"), "body: expected a JSON object");
    assert!(read("[".repeat(100_000).as_bytes()).starts_with("body: not JSON: "));
}

#[test]
fn what_is_no_json_inside_a_field_is_refused_and_the_field_is_named() {
    let deep = format!(r#"{}1{}"#, "[".repeat(200), "]".repeat(200));
    for (field, json) in [
        ("orderNo", r#""\ud800""#),
        ("mine", r#""\ud800""#),
        ("mine", deep.as_str()),
        ("extData", deep.as_str()),
        ("userId", deep.as_str()),
    ] {
        let body =
            format!(r#"{{"orderNo":"A1","sessionId":3,"eventType":"PAID","{field}":{json}}}"#);
        let error = OrderEventMessage::read(Tag::OrderPaid, body.as_bytes()).unwrap_err();
        assert!(error.to_string().starts_with(&format!("{field}: not JSON: ")), "{error}");
    }
}

#[test]
fn of_a_field_that_is_there_twice_the_last_one_counts_however_its_name_is_written() {
    let body = br#"{"orderNo":"A1","sessionId":3,"mine":1,"order\u004eo":"A\u0032",
                    "eventType":"PAID","mine":2}"#;
    let message = OrderEventMessage::read(Tag::OrderPaid, body).unwrap();
    assert_eq!(message.order_no.as_str(), "A2");
    assert_eq!(Value::from(message.extra.into_map()), json!({ "mine": 2 }));
}

#[test]
fn a_missing_required_field_is_named() {
    for name in ["orderNo", "userId", "sessionId", "eventType"] {
        let expected = format!("{name}: required, but absent");
        refuses::<OrderEventMessage>(Tag::OrderCreated, &without(order(), name), &expected);
        refuses_order(name, Value::Null, &expected);
    }
    for name in ["operation", "orderNo", "ticketId", "quantity"] {
        let expected = format!("{name}: required, but absent");
        let body = without(stock("DEDUCT"), name);
        refuses::<StockEventMessage>(Tag::StockDeduct, &body, &expected);
    }
    for name in ["operation", "sessionId", "showId", "version", "state", "currency", "ticketTypes"]
    {
        let expected = format!("{name}: required, but absent");
        refuses::<SaleChanged>(Tag::SaleChanged, &without(sale(), name), &expected);
    }
    for name in ["notificationId", "userId", "template"] {
        let expected = format!("{name}: required, but absent");
        refuses::<NotificationMessage>(Tag::Sms, &without(notification(), name), &expected);
    }
}

#[test]
fn what_a_command_or_a_later_fact_does_not_need_may_be_absent() {
    let create = without(with(order(), "eventType", Value::Null), "totalAmount");
    read::<OrderEventMessage>(Tag::OrderCreate, &create).unwrap();
    let paid = json!({ "orderNo": "A1", "sessionId": 3, "eventType": "PAID" });
    read::<OrderEventMessage>(Tag::OrderPaid, &paid).unwrap();
    let paid = json!({ "orderNo": "A1", "ticketId": 5, "eventType": "PAID" });
    read::<OrderEventMessage>(Tag::OrderPaid, &paid).unwrap();
    let sync = json!({ "ticketId": 5, "operation": "SYNC" });
    read::<StockEventMessage>(Tag::StockSync, &sync).unwrap();
    let confirmed = json!({ "orderNo": "A1", "operation": "CONFIRMED" });
    read::<StockEventMessage>(Tag::StockConfirmed, &confirmed).unwrap();
}

#[test]
fn a_later_fact_needs_a_way_to_its_session() {
    let paid = json!({ "orderNo": "A1", "eventType": "PAID" });
    let expected = "sessionId: required, but absent";
    refuses::<OrderEventMessage>(Tag::OrderPaid, &paid, expected);
    let rollback = json!({ "orderNo": "A1", "operation": "ROLLBACK" });
    let expected = "ticketId: required, but absent";
    refuses::<StockEventMessage>(Tag::StockRollback, &rollback, expected);
    let rejected = stock("REJECTED");
    let expected = "on: required, but absent";
    refuses::<StockEventMessage>(Tag::StockRejected, &rejected, expected);
}

#[test]
fn a_wrong_type_is_named() {
    refuses_order("totalAmount", json!(true), "totalAmount: expected a decimal, found true");
    refuses_order("totalAmount", json!([]), "totalAmount: expected a decimal, found an array");
    refuses_order("userId", json!("7"), "userId: expected a 64-bit integer, found \"7\"");
    refuses_order("userId", json!(1.5), "userId: expected a 64-bit integer, found 1.5");
    refuses_order("sessionId", json!({}), "sessionId: expected a 64-bit integer, found an object");
    refuses_order(
        "status",
        json!(1_i64 << 40),
        "status: expected a 32-bit integer, found 1099511627776",
    );
    refuses_order("extData", json!("x"), "extData: expected an object, found \"x\"");
    refuses_order("items", json!({}), "items: expected an array, found an object");
    refuses_order("items", json!([3]), "items[0]: expected an object, found 3");
    refuses_order("reason", json!(3), "reason: expected a string, found 3");
    refuses_order(
        "expiresAt",
        json!("soon"),
        "expiresAt: expected an RFC 3339 time, found \"soon\"",
    );
    refuses_order(
        "channels",
        json!(["SMS", "FAX"]),
        "channels[1]: expected SMS, EMAIL or PUSH, found \"FAX\"",
    );
    refuses_order(
        "currency",
        json!("chf"),
        "currency: expected a currency code of three capital letters, found \"chf\"",
    );
    refuses::<SaleChanged>(
        Tag::SaleChanged,
        &with(sale(), "ticketTypes.0.soldOut", json!(0)),
        "ticketTypes[0].soldOut: expected true or false, found 0",
    );
}

#[test]
fn a_quantity_outside_the_contract_is_refused_everywhere() {
    for wrong in [json!(0), json!(-1), json!(1001), json!(2.0), json!("2"), json!(1e30)] {
        for path in ["quantity", "items.0.quantity"] {
            let body = with(order(), path, wrong.clone());
            let error = read::<OrderEventMessage>(Tag::OrderCreated, &body).unwrap_err();
            assert_eq!(error.field, path.replace(".0.", "[0]."));
            assert!(error.problem.starts_with("expected a quantity from 1 to 1000, found"));
        }
    }
    for right in [1, 1000] {
        let body = with(stock("DEDUCT"), "quantity", json!(right));
        read::<StockEventMessage>(Tag::StockDeduct, &body).unwrap();
    }
}

#[test]
fn an_order_number_is_visible_ascii() {
    let longest = "x".repeat(OrderNo::MAX_CHARS);
    assert!(OrderNo::new(&longest).is_ok());
    let too_long = format!("{longest}x");
    for wrong in ["", " ", "a b", "a\n", "Größe", "a\u{0}", too_long.as_str()] {
        let body = with(order(), "orderNo", json!(wrong));
        let error = read::<OrderEventMessage>(Tag::OrderCreated, &body).unwrap_err();
        assert_eq!(error.field, "orderNo");
    }
}

#[test]
fn an_amount_is_never_rounded_and_never_negative() {
    let wrong = [
        "-1",
        "1.00001",
        "1000000000000000",
        "1e15",
        "1e-5",
        "1_000",
        "+1",
        ".5",
        "5.",
        " 1",
        "",
        "NaN",
        "1e999999999999",
        "0x10",
        "1.2.3",
        "1-2",
        "12345678901234567890123456789012345",
    ];
    for wrong in wrong {
        let body = with(order(), "totalAmount", json!(wrong));
        let error = read::<OrderEventMessage>(Tag::OrderCreated, &body).expect_err(wrong);
        assert_eq!(error.field, "totalAmount");
    }
}

#[test]
fn a_time_with_a_space_is_refused() {
    refuses_order(
        "eventTime",
        json!("2026-11-21 07:00:00"),
        "eventTime: expected a local date-time like 2026-11-21T07:00:00, found \"2026-11-21 07:00:00\"",
    );
    let wrong = [
        json!("2026-11-21"),
        json!("2026-11-21T25:00:00"),
        json!("2026-02-30T07:00:00"),
        json!("2026-11-21T07:00:60"),
        json!("2026-11-21T07:00:00+0800"),
        json!("0000-01-01T00:00"),
        json!("2026-11-21T07:00:00 Z"),
        json!("+2026-11-21T07:00:00"),
        json!(1_763_708_400),
        json!([2026, 11, 21]),
        json!("2026-11-21T07:00:00.1234567891"),
        json!("2026-11-21T07:00:"),
    ];
    for wrong in wrong {
        let body = with(order(), "eventTime", wrong.clone());
        let Err(error) = read::<OrderEventMessage>(Tag::OrderCreated, &body) else {
            panic!("accepted {wrong}");
        };
        assert_eq!(error.field, "eventTime");
    }
}

#[test]
fn flat_fields_and_items_must_agree() {
    refuses_order("ticketId", json!(6), "ticketId: does not agree with items");
    refuses_order("quantity", json!(3), "quantity: does not agree with items");
    let two = json!([{ "ticketId": 5, "quantity": 2 }, { "ticketId": 6, "quantity": 1 }]);
    refuses_order("items", two.clone(), "ticketId: does not agree with items");
    let several = with(without(without(order(), "ticketId"), "quantity"), "items", two);
    let message = read::<OrderEventMessage>(Tag::OrderCreated, &several).unwrap();
    assert_eq!(message.lines().unwrap().len(), 2);
    let message =
        read::<OrderEventMessage>(Tag::OrderCreated, &without(order(), "quantity")).unwrap();
    assert_eq!(message.lines().unwrap()[0].quantity.get(), 2);
}

#[test]
fn an_order_has_one_to_eight_lines_each_of_its_own_ticket_type() {
    let lines = |count: i64| -> Value {
        (0..count).map(|ticket| json!({ "ticketId": ticket, "quantity": 1 })).collect()
    };
    let order = without(without(order(), "ticketId"), "quantity");
    for count in [0, 9] {
        let body = with(order.clone(), "items", lines(count));
        let expected = format!("items: expected 1 to 8 lines, found {count}");
        refuses::<OrderEventMessage>(Tag::OrderCreated, &body, &expected);
    }
    let body = with(order.clone(), "items", lines(8));
    read::<OrderEventMessage>(Tag::OrderCreated, &body).unwrap();
    let twice = json!([{ "ticketId": 5, "quantity": 2 }, { "ticketId": 5, "quantity": 1 }]);
    let expected = "items[1].ticketId: ticket type 5 is named twice";
    refuses::<OrderEventMessage>(Tag::OrderCreated, &with(order, "items", twice), expected);
}

#[test]
fn a_body_under_the_wrong_tag_is_refused() {
    let expected = "eventType: CREATED does not belong to tag ORDER_PAID";
    refuses::<OrderEventMessage>(Tag::OrderPaid, &order(), expected);
    let expected = "operation: DEDUCT does not belong to tag STOCK_DEDUCTED";
    refuses::<StockEventMessage>(Tag::StockDeducted, &stock("DEDUCT"), expected);
    let expected = "operation: DEDUCTED does not belong to tag STOCK_DEDUCT";
    refuses::<StockEventMessage>(Tag::StockDeduct, &stock("DEDUCTED"), expected);
    let expected = "channel: SMS does not belong to tag EMAIL";
    refuses::<NotificationMessage>(Tag::Email, &notification(), expected);
    let expected = "operation: SALE_CHANGED does not belong to tag STOCK_SYNC";
    refuses::<SaleChanged>(Tag::StockSync, &sale(), expected);
}

#[test]
fn a_command_is_told_by_its_operation_whatever_its_tag() {
    for tag in [Tag::StockDeduct, Tag::StockRollback, Tag::StockSync] {
        for operation in ["DEDUCT", "ROLLBACK", "SYNC", "CONFIRM"] {
            let message = read::<StockEventMessage>(tag, &stock(operation)).unwrap();
            assert_eq!(message.operation.as_str(), operation);
        }
    }
}

#[test]
fn keys_and_methods_have_a_length() {
    refuses_order(
        "idempotencyKey",
        json!(""),
        "idempotencyKey: expected 1 to 255 characters, found 0",
    );
    let long = "ä".repeat(256);
    refuses_order(
        "idempotencyKey",
        json!(long),
        "idempotencyKey: expected 1 to 255 characters, found 256",
    );
    refuses_order(
        "paymentMethod",
        json!(long),
        "paymentMethod: expected 1 to 64 characters, found 256",
    );
    refuses_order("reason", json!("a\u{0}b"), "reason: expected a string without NUL characters");
}

#[test]
fn four_mebibytes_and_one_byte_are_neither_sent_nor_read() {
    let mut message = read::<OrderEventMessage>(Tag::OrderCreated, &order()).unwrap();
    message.extra.insert("pad", "");
    let without_pad = message.to_body().unwrap().len();
    message.extra.insert("pad", "x".repeat(MAX_BODY_BYTES - without_pad));
    let largest = message.to_body().unwrap();
    assert_eq!(largest.len(), MAX_BODY_BYTES);
    OrderEventMessage::read(Tag::OrderCreated, &largest).unwrap();

    message.extra.insert("pad", "x".repeat(MAX_BODY_BYTES - without_pad + 1));
    let Err(WriteError::TooLarge { bytes }) = message.to_body() else {
        panic!("a body that is too large was written");
    };
    assert_eq!(bytes, MAX_BODY_BYTES + 1);
    let error = OrderEventMessage::read(Tag::OrderCreated, &vec![b' '; bytes]).unwrap_err();
    assert_eq!(error.to_string(), "body: 4194305 bytes, but at most 4194304 are read");
}

#[test]
fn personal_data_is_shown_by_no_error_and_no_debug() {
    let body = json!({ "phone": 5_550_100, "content": "hello" });
    let expected = "phone: expected a string that is not empty";
    refuses::<NotificationMessage>(Tag::Sms, &body, expected);

    let body = json!({ "phone": "5550100", "content": "secret", "nickname": "somebody" });
    let message = read::<NotificationMessage>(Tag::Sms, &body).unwrap();
    let shown = format!("{message:?} {:?}", Personal::new("5550100"));
    for hidden in ["5550100", "secret", "somebody"] {
        assert!(!shown.contains(hidden), "{shown}");
    }
}

#[test]
fn a_long_wrong_value_is_cut_in_the_error() {
    let body = with(order(), "userId", json!("é".repeat(1_000_000)));
    let error = read::<OrderEventMessage>(Tag::OrderCreated, &body).unwrap_err();
    assert!(error.to_string().chars().count() < 100);
}

#[test]
fn an_address_of_the_wrong_channel_is_missing() {
    let body = json!({ "phone": "5550100", "content": "hello" });
    refuses::<NotificationMessage>(Tag::Email, &body, "email: required, but absent");
    let body = json!({ "phone": "5550100" });
    refuses::<NotificationMessage>(Tag::Sms, &body, "content: required, but absent");
    refuses::<NotificationMessage>(
        Tag::OrderPaid,
        &notification(),
        "channel: tag ORDER_PAID is no notification",
    );
}

#[test]
fn a_currency_is_three_capital_letters() {
    assert!(Currency::new("CHF").is_ok());
    for wrong in ["", "CH", "CHFF", "chf", "C1F", "ÄB"] {
        assert!(Currency::new(wrong).is_err(), "{wrong}");
    }
}
