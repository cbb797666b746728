use serde_json::{Value, json};

use super::*;
use crate::payments::SandboxConfig;

fn callbacks() -> Callbacks {
    let sandbox = SandboxConfig { merchant_id: "boxoffice".to_owned(), ..SandboxConfig::default() };
    Callbacks::new(&PaymentConfig { sandbox, ..PaymentConfig::default() })
}

fn notice(kind: &str) -> Value {
    json!({
        "eventId": "evt_1", "type": kind, "merchantId": "boxoffice", "paymentId": "A1-p1",
        "providerPaymentId": "sbx_1", "orderNo": "A1", "amount": "199.00", "currency": "EUR",
        "occurredAt": "2026-11-21T07:12:19Z",
    })
}

fn read(notice: &Value) -> Result<Message, Unfit> {
    callbacks().read(notice.to_string().as_bytes()).map(|read| *read.event.effect)
}

#[test]
fn each_kind_of_event_has_its_effect() {
    let captured = Captured {
        payment_id: "A1-p1".to_owned(),
        provider_payment_id: "sbx_1".to_owned(),
        amount: "199.00".parse().expect("an amount"),
        currency: Currency::new("EUR").expect("a currency"),
    };
    assert_eq!(read(&notice("payment.captured")), Ok(Message::PaymentCaptured(captured)));
    assert!(matches!(read(&notice("payment.failed")), Ok(Message::PaymentFailed { .. })));
    assert!(matches!(read(&notice("payment.closed")), Ok(Message::PaymentClosed { .. })));
    for (kind, succeeded) in [("refund.succeeded", true), ("refund.failed", false)] {
        let mut notice = notice(kind);
        notice["refundId"] = json!("A1-r1");
        let Ok(Message::RefundEnded { refund_id, outcome }) = read(&notice) else {
            panic!("{kind}");
        };
        assert_eq!(refund_id, "A1-r1");
        assert_eq!(outcome == RefundOutcome::Succeeded, succeeded, "{kind}");
    }
}

#[test]
fn the_raw_body_is_kept_as_it_came() {
    let body = format!("  {}\n", notice("payment.closed"));
    let read = callbacks().read(body.as_bytes()).expect("readable");
    assert_eq!(read.event.body, body.as_bytes());
    assert_eq!(read.order_no.as_str(), "A1");
}

#[test]
fn what_is_not_ours_or_not_known_is_unfit() {
    let mut other = notice("payment.captured");
    other["merchantId"] = json!("somebody-else");
    assert_eq!(read(&other), Err(Unfit::OtherMerchant));
    assert!(matches!(read(&notice("payment.disputed")), Err(Unfit::Unreadable(_))));
    assert!(matches!(read(&notice("refund.succeeded")), Err(Unfit::Unreadable(_))));
    for (field, value) in [
        ("eventId", json!("")),
        ("eventId", json!("x".repeat(129))),
        ("eventId", json!("a\0b")),
        ("orderNo", json!("a b")),
        ("amount", json!("-1")),
        ("amount", json!(true)),
        ("currency", json!("euro")),
        ("paymentId", Value::Null),
    ] {
        let mut broken = notice("payment.captured");
        broken[field] = value.clone();
        assert!(matches!(read(&broken), Err(Unfit::Unreadable(_))), "{field} = {value}");
    }
}

#[test]
fn an_event_is_parked_under_its_own_id_or_its_bodys_hash() {
    let now = common::clock::now();
    let park = |body: &[u8]| callbacks().park(body, &Unfit::UnknownOrder, now);
    let known = park(notice("payment.captured").to_string().as_bytes());
    assert_eq!((known.event_id.as_str(), known.order_no.as_str()), ("evt_1", "A1"));
    assert_eq!(known.reason, "unknown order");
    let unreadable = park(b"not JSON");
    assert!(unreadable.event_id.starts_with("sha256:"), "{}", unreadable.event_id);
    assert_eq!(unreadable.order_no, "");
    assert_eq!(park(b"not JSON").event_id, unreadable.event_id);
    assert_ne!(park(b"not JSON!").event_id, unreadable.event_id);
}
