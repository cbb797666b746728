//! Callbacks: signed, at least once, and with every trick that the control asks for.

use std::collections::HashSet;

use sandbox::signature::Rejected;
use serde_json::{Value, json};

use crate::support::Rehearsal;

#[tokio::test]
async fn a_callback_says_what_happened_and_is_signed_by_every_secret() {
    let Rehearsal { mut merchant, _sandbox } = Rehearsal::start(json!({})).await;
    let (_, payment) = merchant.open("P1", "sandbox").await;
    let received = merchant.callback().await;
    assert_eq!(received.verified, Ok(()));
    assert_eq!(received.signature.matches(",v1=").count(), 2);
    let notice: Value = serde_json::from_slice(&received.body).unwrap();
    for (field, expected) in [
        ("type", json!("payment.captured")),
        ("merchantId", json!("boxoffice")),
        ("paymentId", json!("P1")),
        ("providerPaymentId", payment["providerPaymentId"].clone()),
        ("orderNo", json!("O-P1")),
        ("amount", json!("199.00")),
        ("currency", json!("EUR")),
    ] {
        assert_eq!(notice[field], expected, "{field}");
    }
    assert!(notice["occurredAt"].as_str().unwrap().ends_with('Z'));
    assert!(notice.get("refundId").is_none());
}

#[tokio::test]
async fn a_callback_is_repeated_until_it_is_taken() {
    let Rehearsal { mut merchant, _sandbox } =
        Rehearsal::start(json!({"callback_retry_ms": [1, 1, 1, 1, 1]})).await;
    merchant.answer_callbacks(&[500, 404, 302, 503]);
    merchant.open("P1", "sandbox").await;
    let first = merchant.notice().await;
    for _ in 0..4 {
        assert_eq!(merchant.notice().await, first, "every attempt carries the same event");
    }
    let books = merchant.get_until("/v1/books", |books| books["callbacks"]["delivered"] == 1).await;
    assert_eq!(books["callbacks"]["attempts"], 5);
    assert_eq!(books["totals"]["undeliveredEvents"], 0);
}

#[tokio::test]
async fn a_callback_that_is_never_taken_is_given_up_after_the_last_rung() {
    let Rehearsal { mut merchant, _sandbox } =
        Rehearsal::start(json!({"callback_retry_ms": [1, 1]})).await;
    merchant.answer_callbacks(&[500, 500, 500]);
    merchant.open("P1", "sandbox").await;
    for _ in 0..3 {
        merchant.notice().await;
    }
    let books = merchant.get_until("/v1/books", |books| books["callbacks"]["gaveUp"] == 1).await;
    assert_eq!(books["totals"]["undeliveredEvents"], 0);
}

#[tokio::test]
async fn a_duplicate_carries_the_same_event() {
    let Rehearsal { mut merchant, _sandbox } =
        Rehearsal::start(json!({"duplicate_ratio": 1.0, "reorder_window_ms": 1})).await;
    merchant.open("P1", "sandbox").await;
    let first = merchant.notice().await;
    assert_eq!(merchant.notice().await, first);
}

#[tokio::test]
async fn a_forged_callback_fails_verification_and_claims_another_amount() {
    let Rehearsal { mut merchant, _sandbox } = Rehearsal::start(json!({"forge_ratio": 1.0})).await;
    merchant.open("P1", "sandbox").await;
    let (mut genuine, mut forged) = (None, None);
    for _ in 0..2 {
        let received = merchant.callback().await;
        let notice: Value = serde_json::from_slice(&received.body).unwrap();
        match received.verified {
            Ok(()) => genuine = Some(notice),
            Err(Rejected::Mismatch) => forged = Some(notice),
            Err(other) => panic!("{other}"),
        }
    }
    let (genuine, forged) = (genuine.unwrap(), forged.unwrap());
    assert_eq!((&genuine["amount"], &forged["amount"]), (&json!("199.00"), &json!("398.00")));
    assert_ne!(genuine["eventId"], forged["eventId"]);
    let books =
        merchant.get_until("/v1/books", |books| books["callbacks"]["forgeriesSent"] == 1).await;
    assert_eq!(books["callbacks"]["forgeriesBelieved"], 0);
}

#[tokio::test]
async fn a_dropped_event_never_comes_but_the_payment_can_be_queried() {
    let Rehearsal { mut merchant, _sandbox } = Rehearsal::start(json!({"drop_ratio": 1.0})).await;
    merchant.open("dropped", "sandbox").await;
    merchant.get_until("/v1/payments/dropped", |payment| payment["status"] == "CAPTURED").await;
    merchant.get_until("/v1/books", |books| books["totals"]["undeliveredEvents"] == 0).await;
    merchant.control(json!({"drop_ratio": 0.0})).await;
    merchant.open("sent", "sandbox").await;
    assert_eq!(merchant.notice().await["paymentId"], "sent");
}

#[tokio::test]
async fn reordered_events_arrive_in_another_order_and_all_of_them() {
    let control = json!({
        "capture_delay_ms": 0, "reorder_ratio": 0.5, "reorder_window_ms": 100, "seed": 3,
    });
    let Rehearsal { mut merchant, _sandbox } = Rehearsal::start(control).await;
    let ids: Vec<String> = (0..20).map(|n| format!("P{n:02}")).collect();
    for id in &ids {
        merchant.open(id, "sandbox-instant").await;
    }
    let mut arrived = Vec::new();
    for _ in &ids {
        arrived.push(merchant.notice().await["paymentId"].as_str().unwrap().to_owned());
    }
    assert_ne!(arrived, ids);
    arrived.sort();
    assert_eq!(arrived, ids);
}

#[tokio::test]
async fn an_outage_refuses_calls_and_holds_callbacks_back_but_money_still_moves() {
    let Rehearsal { mut merchant, _sandbox } =
        Rehearsal::start(json!({"capture_delay_ms": 1_500})).await;
    merchant.open("P1", "sandbox").await;
    assert_eq!(merchant.control(json!({"outage": true})).await.0, 200);
    assert_eq!(merchant.open("P2", "sandbox").await.0, 503);
    assert_eq!(merchant.close("P1").await.0, 503);
    merchant.get_until("/v1/books", |books| books["totals"]["byStatus"]["CAPTURED"] == 1).await;
    assert_eq!(merchant.get("/v1/books").await.1["callbacks"]["attempts"], 0);
    merchant.control(json!({"outage": false})).await;
    assert_eq!(merchant.notice().await["paymentId"], "P1");
}

#[tokio::test]
async fn a_control_with_an_error_names_the_field_and_changes_nothing() {
    let Rehearsal { merchant, _sandbox } = Rehearsal::start(json!({"seed": 5})).await;
    let (_, before) = merchant.get("/v1/control").await;
    for (patch, named) in
        [(json!({"fail_ratio": 2}), "fail_ratio"), (json!({"outrage": true}), "outrage")]
    {
        let (status, problem) = merchant.control(patch).await;
        assert_eq!(status, 422);
        assert!(problem["detail"].as_str().unwrap().contains(named), "{problem}");
    }
    assert_eq!(merchant.get("/v1/control").await.1, before);
}

#[tokio::test]
async fn the_seed_decides_which_payments_fail() {
    let mut failed = Vec::new();
    for seed in [1, 1, 2] {
        let control = json!({"fail_ratio": 0.5, "seed": seed, "capture_delay_ms": 0});
        let Rehearsal { mut merchant, _sandbox } = Rehearsal::start(control).await;
        for n in 0..30 {
            merchant.open(&format!("P{n}"), "sandbox").await;
        }
        let mut run = HashSet::new();
        for _ in 0..30 {
            let notice = merchant.notice().await;
            if notice["type"] == "payment.failed" {
                run.insert(notice["paymentId"].as_str().unwrap().to_owned());
            }
        }
        failed.push(run);
    }
    assert!((5..25).contains(&failed[0].len()), "{}", failed[0].len());
    assert_eq!(failed[0], failed[1]);
    assert_ne!(failed[0], failed[2]);
}
