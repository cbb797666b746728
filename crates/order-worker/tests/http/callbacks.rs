//! A provider's callbacks: believed, applied once, parked or refused.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    Answer, BODY_MAX_BYTES, CALLBACK_SECRET, Rig, SEAT, SESSION, notice, read, signature, until,
};

/// An order that waits for a payment under a provider that is not there.
async fn waiting(rig: &Rig) -> (String, String) {
    let order_no = rig.reserved(Some("sandbox")).await;
    let order = rig.has_status(&order_no, "RESERVED").await;
    let payment_id = order["payments"][0]["paymentId"].as_str().unwrap().to_owned();
    (order_no, payment_id)
}

fn outcome(answer: &Answer) -> &Value {
    assert_eq!(answer.status, 200, "{answer:?}");
    &answer.body["outcome"]
}

async fn events(rig: &Rig) -> Vec<(String, bool, Option<String>)> {
    let sql = "SELECT kind, applied_at IS NOT NULL, outcome FROM orders.payment_events";
    sqlx::query_as(sql).fetch_all(&rig.database.pool).await.unwrap()
}

#[tokio::test]
async fn a_signed_capture_pays_the_order_once() {
    let rig = Rig::start().await;
    let (order_no, payment_id) = waiting(&rig).await;
    let event = notice("payment.captured", &order_no, &payment_id);
    for _ in 0..2 {
        assert_eq!(outcome(&rig.callback(&event).await), "applied");
    }
    let order = rig.show(&order_no).await;
    assert_eq!(order["status"], "PAID");
    assert_eq!(order["payments"][0]["status"], "CAPTURED");
    assert_eq!(order["payments"][0]["capturedAmount"], "99.50");
    assert_eq!(order["refunds"], json!([]));
    assert_eq!(rig.count("calls").await, 0, "the capture answered the open, too");
    let events = events(&rig).await;
    assert_eq!(events.len(), 1);
    assert!(events[0].1, "{events:?}");
    rig.stop().await;
}

#[tokio::test]
async fn the_same_events_at_the_same_moment_are_applied_once() {
    let rig = Rig::start().await;
    let (order_no, payment_id) = waiting(&rig).await;
    let event = notice("payment.captured", &order_no, &payment_id);
    let answers = (0..8).map(async |_| rig.callback(&event).await);
    for answer in futures::future::join_all(answers).await {
        assert_eq!(outcome(&answer), "applied");
    }
    assert_eq!(rig.show(&order_no).await["status"], "PAID");
    assert_eq!(rig.count("payment_events").await, 1);
    rig.stop().await;
}

#[tokio::test]
async fn a_callback_that_is_not_believed_is_401_and_nothing_is_written() {
    let rig = Rig::start().await;
    let (order_no, payment_id) = waiting(&rig).await;
    let before = rig.show(&order_no).await;
    let raw = notice("payment.captured", &order_no, &payment_id).to_string();
    let other_body = raw.replace("99.50", "0.01");
    let genuine = signature(CALLBACK_SECRET, &raw);
    let old = format!("t=1{}", &genuine[genuine.find(',').unwrap()..]);
    for (raw, signature) in [
        (&raw, signature("guessed", &raw)),
        (&other_body, genuine.clone()),
        (&raw, old),
        (&raw, "nonsense".to_owned()),
        (&raw, String::new()),
    ] {
        let answer = rig.callback_signed(raw, &signature).await;
        assert_eq!(answer.status, 401, "{signature}: {answer:?}");
        assert_eq!(answer.body["code"], "invalid_signature", "{answer:?}");
    }
    let unsigned = rig.request(Method::POST, "/v1/payments/callback").body(raw.clone());
    assert_eq!(read(unsigned).await.status, 401);
    assert_eq!(rig.count("payment_events").await, 0);
    assert_eq!(rig.show(&order_no).await["version"], before["version"]);
    rig.stop().await;
}

#[tokio::test]
async fn an_event_about_an_unknown_order_waits_until_the_order_comes() {
    let rig = Rig::start().await;
    let order_no = common::testing::unique("J");
    let event = notice("payment.captured", &order_no, &format!("{order_no}-p1"));
    for _ in 0..2 {
        assert_eq!(outcome(&rig.callback(&event).await), "parked");
    }
    assert_eq!(events(&rig).await, [("unknown order".to_owned(), false, None)]);
    let command = json!({
        "orderNo": order_no, "userId": 42, "sessionId": SESSION, "ticketId": SEAT, "quantity": 1,
        "paymentMethod": "sandbox",
    });
    rig.publish("ORDER_TOPIC", "ORDER_CREATE", &order_no, &command).await;
    until(async || (rig.count("orders").await == 1).then_some(())).await;
    rig.stock(&order_no, "DEDUCTED").await;
    rig.has_status(&order_no, "PAID").await;
    until(async || events(&rig).await[0].1.then_some(())).await;
    rig.stop().await;
}

#[tokio::test]
async fn what_can_not_take_effect_is_stored_and_answered_2xx() {
    let rig = Rig::start().await;
    let (order_no, payment_id) = waiting(&rig).await;
    let mut stranger = notice("payment.captured", &order_no, &payment_id);
    stranger["merchantId"] = json!("somebody-else");
    let unknown_payment = notice("payment.captured", &order_no, "p-99");
    let unknown_kind = notice("payment.disputed", &order_no, &payment_id);
    for event in [stranger, unknown_payment, unknown_kind, json!("no event at all")] {
        assert_eq!(outcome(&rig.callback(&event).await), "parked", "{event}");
    }
    assert_eq!(rig.count("payment_events").await, 4);
    assert_eq!(rig.show(&order_no).await["status"], "RESERVED");
    rig.stop().await;
}

#[tokio::test]
async fn an_event_that_never_takes_effect_is_given_up_in_the_end() {
    let rig = Rig::start_with(|config| config.payments.parked_deadline_hours = 0).await;
    let event = notice("payment.captured", "nobody", "nobody-p1");
    assert_eq!(outcome(&rig.callback(&event).await), "parked");
    let ended = until(async || events(&rig).await.pop()?.2).await;
    assert_eq!(ended, "abandoned: unknown order");
    rig.stop().await;
}

#[tokio::test]
async fn a_capture_of_another_amount_or_currency_never_pays_and_goes_back() {
    for (field, value) in [("amount", "99.49"), ("amount", "100.00"), ("currency", "USD")] {
        let rig = Rig::start().await;
        let (order_no, payment_id) = waiting(&rig).await;
        let mut event = notice("payment.captured", &order_no, &payment_id);
        event[field] = json!(value);
        assert_eq!(outcome(&rig.callback(&event).await), "applied");
        let order = rig.show(&order_no).await;
        assert_eq!(order["status"], "REFUNDING", "{field} {value}: {order:#}");
        assert_eq!(order["paidAt"], Value::Null);
        assert_eq!(order["refunds"][0]["status"], "REQUESTED");
        rig.stop().await;
    }
}

#[tokio::test]
async fn a_refused_payment_ends_the_order() {
    for kind in ["payment.failed", "payment.closed"] {
        let rig = Rig::start().await;
        let (order_no, payment_id) = waiting(&rig).await;
        let event = notice(kind, &order_no, &payment_id);
        assert_eq!(outcome(&rig.callback(&event).await), "applied");
        let order = rig.show(&order_no).await;
        assert_eq!((&order["status"], &order["reason"]), (&json!("CANCELLED"), &json!("payment")));
        rig.stop().await;
    }
}

#[tokio::test]
async fn the_callback_has_a_path_for_each_provider_and_a_limit() {
    let rig = Rig::start().await;
    let raw = notice("payment.captured", "nobody", "nobody-p1").to_string();
    let post = async |path: &str, raw: &str| {
        let signed = signature(CALLBACK_SECRET, raw);
        let request = rig.request(Method::POST, path).header("X-Boxoffice-Signature", signed);
        read(request.body(raw.to_owned())).await
    };
    assert_eq!(outcome(&post("/v1/payments/callback/sandbox", &raw).await), "parked");
    assert_eq!(post("/v1/payments/callback/another", &raw).await.status, 404);
    let long = post("/v1/payments/callback", &" ".repeat(BODY_MAX_BYTES + 1)).await;
    assert_eq!((long.status, &long.body["code"]), (413, &json!("body_too_large")));
    assert_eq!(long.body["limit"], BODY_MAX_BYTES);
    rig.stop().await;
}
