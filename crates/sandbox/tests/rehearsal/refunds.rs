//! Refunds: once per id, and never more than was captured.

use futures::future::join_all;
use serde_json::json;

use crate::support::{Merchant, Rehearsal};

async fn captured(merchant: &mut Merchant, id: &str) {
    merchant.open(id, "sandbox-instant").await;
    assert_eq!(merchant.notice().await["type"], "payment.captured");
}

#[tokio::test]
async fn a_refund_happens_once_and_is_called_back() {
    let Rehearsal { mut merchant, _sandbox } = Rehearsal::start(json!({})).await;
    captured(&mut merchant, "P1").await;
    let (status, refund) = merchant.refund("R1", "P1", "99.50").await;
    assert_eq!((status, &refund["status"]), (201, &json!("PENDING")));
    let notice = merchant.notice().await;
    assert_eq!(notice["type"], "refund.succeeded");
    assert_eq!((&notice["refundId"], &notice["paymentId"]), (&json!("R1"), &json!("P1")));
    assert_eq!(notice["amount"], "99.50");

    let (status, again) = merchant.refund("R1", "P1", "99.50").await;
    assert_eq!((status, &again["status"]), (200, &json!("SUCCEEDED")));
    assert_eq!(merchant.refund("R1", "P1", "99.51").await.0, 422);
    let (_, payment) = merchant.get("/v1/payments/P1").await;
    assert_eq!(payment["refundedAmount"], "99.50");
    assert_eq!(payment["status"], "CAPTURED");
}

#[tokio::test]
async fn never_more_is_refunded_than_was_captured() {
    let Rehearsal { mut merchant, _sandbox } =
        Rehearsal::start(json!({"refund_delay_ms": 60_000})).await;
    captured(&mut merchant, "P1").await;
    let ids: Vec<String> = (0..30).map(|n| format!("R{n}")).collect();
    let answers = join_all(ids.iter().map(|id| merchant.refund(id, "P1", "10.00"))).await;
    let accepted = answers.iter().filter(|(status, _)| *status == 201).count();
    assert_eq!(accepted, 19, "of 199.00, whatever the order they came in");
    for (status, problem) in answers.iter().filter(|(status, _)| *status != 201) {
        assert_eq!((*status, &problem["code"]), (422, &json!("more_than_captured")));
    }
    assert_eq!(merchant.refund("last", "P1", "9.00").await.0, 201);
    assert_eq!(merchant.refund("over", "P1", "0.01").await.0, 422);
}

#[tokio::test]
async fn a_failed_refund_gives_its_amount_back_to_a_new_one() {
    let Rehearsal { mut merchant, _sandbox } =
        Rehearsal::start(json!({"refund_fail_ratio": 1.0})).await;
    captured(&mut merchant, "P1").await;
    merchant.refund("R1", "P1", "199.00").await;
    assert_eq!(merchant.notice().await["type"], "refund.failed");
    assert_eq!(merchant.get("/v1/refunds/R1").await.1["status"], "FAILED");
    merchant.control(json!({"refund_fail_ratio": 0.0})).await;
    assert_eq!(merchant.refund("R2", "P1", "199.00").await.0, 201);
    assert_eq!(merchant.notice().await["type"], "refund.succeeded");
}

#[tokio::test]
async fn what_cannot_be_refunded_is_refused_with_its_reason() {
    let Rehearsal { mut merchant, _sandbox } = Rehearsal::start(json!({})).await;
    merchant.open("pending", "sandbox-manual").await;
    captured(&mut merchant, "captured").await;
    merchant.close("tombstone").await;
    for (payment, expected) in [
        ("unknown", (404, "unknown_payment")),
        ("pending", (409, "not_captured")),
        ("tombstone", (409, "not_captured")),
    ] {
        let (status, problem) = merchant.refund("R1", payment, "1.00").await;
        assert_eq!((status, problem["code"].as_str().unwrap()), expected);
    }
    let other = json!({
        "refundId": "R1", "paymentId": "captured", "amount": "1.00", "currency": "USD",
    });
    let (status, problem) = merchant.post("/v1/refunds", "R1", other).await;
    assert_eq!((status, &problem["code"]), (422, &json!("currency")));
    assert_eq!(merchant.get("/v1/refunds/R1").await.0, 404);
}
