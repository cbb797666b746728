//! Payments: opened once, captured or closed but never both.

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{MERCHANT_KEY, Rehearsal, read};

#[tokio::test]
async fn a_payment_is_opened_once_whoever_asks_again() {
    let Rehearsal { merchant, _sandbox } = Rehearsal::start(json!({})).await;
    let (status, first) = merchant.open("P1", "sandbox-manual").await;
    assert_eq!((status, &first["status"]), (201, &json!("PENDING")));
    let (status, again) = merchant.open("P1", "sandbox-manual").await;
    assert_eq!((status, &again), (200, &first));

    let mut other = merchant.payment("P1", "sandbox-manual");
    other["amount"] = json!("200.00");
    let (status, problem) = merchant.post("/v1/payments", "P1", other).await;
    assert_eq!((status, &problem["code"]), (422, &json!("idempotency_key_reused")));

    let mut same_worth = merchant.payment("P1", "sandbox-manual");
    same_worth["amount"] = json!("199.0");
    assert_eq!(merchant.post("/v1/payments", "P1", same_worth).await.0, 200);
}

#[tokio::test]
async fn fifty_opens_at_once_make_one_payment() {
    let Rehearsal { merchant, _sandbox } = Rehearsal::start(json!({})).await;
    let answers = join_all((0..50).map(|_| merchant.open("P1", "sandbox-manual"))).await;
    assert_eq!(answers.iter().filter(|(status, _)| *status == 201).count(), 1);
    let first = &answers[0].1["providerPaymentId"];
    assert!(answers.iter().all(|(_, body)| &body["providerPaymentId"] == first));
}

#[tokio::test]
async fn every_method_ends_as_it_says() {
    let fast = json!({"capture_delay_ms": 1, "late_capture_ms": 1, "slow_answer_ms": 1});
    let Rehearsal { mut merchant, _sandbox } = Rehearsal::start(fast).await;
    for (method, kind, status) in [
        ("sandbox", "payment.captured", "CAPTURED"),
        ("sandbox-instant", "payment.captured", "CAPTURED"),
        ("sandbox-slow", "payment.captured", "CAPTURED"),
        ("sandbox-late", "payment.captured", "CAPTURED"),
        ("sandbox-decline", "payment.failed", "FAILED"),
    ] {
        assert_eq!(merchant.open(method, method).await.0, 201, "{method}");
        let notice = merchant.notice().await;
        assert_eq!((&notice["type"], &notice["paymentId"]), (&json!(kind), &json!(method)));
        let (_, payment) = merchant.get(&format!("/v1/payments/{method}")).await;
        assert_eq!(payment["status"], status, "{method}");
        assert_eq!((&payment["amount"], &payment["currency"]), (&json!("199.00"), &json!("EUR")));
    }
}

#[tokio::test]
async fn a_slow_payment_can_be_queried_before_its_open_is_answered() {
    let Rehearsal { merchant, _sandbox } =
        Rehearsal::start(json!({"slow_answer_ms": 1_500, "capture_delay_ms": 60_000})).await;
    let open = merchant.open("P1", "sandbox-slow");
    let query = merchant.get_until("/v1/payments/P1", |payment| payment["status"] == "CREATED");
    let ((status, answer), _seen) = tokio::join!(open, query);
    assert_eq!(status, 201);
    assert!(answer["status"] == "CREATED" || answer["status"] == "PENDING", "{answer}");
    merchant.get_until("/v1/payments/P1", |payment| payment["status"] == "PENDING").await;
}

#[tokio::test]
async fn close_and_capture_exclude_each_other() {
    let Rehearsal { merchant, _sandbox } = Rehearsal::start(json!({})).await;
    let (mut closed, mut captured) = (0, 0);
    for n in 0..100 {
        let id = format!("P{n}");
        merchant.open(&id, "sandbox-manual").await;
        let ((close, close_body), (pay, _)) = if n % 2 == 0 {
            tokio::join!(merchant.close(&id), merchant.buyer(&id, "pay"))
        } else {
            let (pay, close) = tokio::join!(merchant.buyer(&id, "pay"), merchant.close(&id));
            (close, pay)
        };
        let (_, payment) = merchant.get(&format!("/v1/payments/{id}")).await;
        match (close, pay) {
            (200, 409) => {
                assert_eq!(payment["status"], "CLOSED");
                closed += 1;
            }
            (409, 200) => {
                assert_eq!(close_body["status"], "CAPTURED");
                assert_eq!(payment["status"], "CAPTURED");
                captured += 1;
            }
            both => panic!("close and pay answered {both:?}"),
        }
    }
    assert_eq!(closed + captured, 100);
}

#[tokio::test]
async fn a_close_calls_off_the_automatic_capture_and_can_be_repeated() {
    let Rehearsal { mut merchant, _sandbox } =
        Rehearsal::start(json!({"capture_delay_ms": 60_000})).await;
    merchant.open("P1", "sandbox").await;
    for _ in 0..2 {
        let (status, payment) = merchant.close("P1").await;
        assert_eq!((status, &payment["status"]), (200, &json!("CLOSED")));
    }
    assert_eq!(merchant.notice().await["type"], "payment.closed");
    assert_eq!(merchant.buyer("P1", "pay").await.0, 409);
}

#[tokio::test]
async fn closing_an_unknown_payment_refuses_a_later_open() {
    let Rehearsal { merchant, _sandbox } =
        Rehearsal::start(json!({"capture_after_close": true})).await;
    let (status, tombstone) = merchant.close("P1").await;
    assert_eq!((status, &tombstone["status"]), (200, &json!("CLOSED")));
    let (status, refused) = merchant.open("P1", "sandbox").await;
    assert_eq!((status, &refused["status"]), (409, &json!("CLOSED")));
    assert_eq!(merchant.buyer("P1", "pay").await.0, 409);
    assert_eq!(merchant.get("/v1/payments/P1").await.1["status"], "CLOSED");
}

#[tokio::test]
async fn a_closed_or_failed_payment_is_captured_late_only_if_the_control_says_so() {
    let Rehearsal { mut merchant, _sandbox } = Rehearsal::start(json!({})).await;
    for id in ["closed", "failed"] {
        merchant.open(id, "sandbox-manual").await;
    }
    merchant.close("closed").await;
    merchant.buyer("failed", "fail").await;
    for id in ["closed", "failed"] {
        assert_eq!(merchant.buyer(id, "pay").await.0, 409);
    }
    for _ in 0..2 {
        merchant.notice().await;
    }
    merchant.control(json!({"capture_after_close": true})).await;
    for id in ["closed", "failed"] {
        assert_eq!(merchant.buyer(id, "pay").await.1["status"], "CAPTURED");
        assert_eq!(merchant.notice().await["type"], "payment.captured");
    }
}

#[tokio::test]
async fn sandbox_late_is_captured_after_its_close() {
    let control = json!({"late_capture_ms": 1_000, "capture_after_close": true});
    let Rehearsal { mut merchant, _sandbox } = Rehearsal::start(control).await;
    merchant.open("P1", "sandbox-late").await;
    assert_eq!(merchant.close("P1").await.1["status"], "CLOSED");
    assert_eq!(merchant.notice().await["type"], "payment.closed");
    assert_eq!(merchant.notice().await["type"], "payment.captured");
}

#[tokio::test]
async fn an_abandoned_payment_stays_open_until_it_is_closed() {
    let Rehearsal { merchant, _sandbox } =
        Rehearsal::start(json!({"capture_delay_ms": 60_000})).await;
    merchant.open("P1", "sandbox").await;
    assert_eq!(merchant.buyer("P1", "abandon").await.1["status"], "PENDING");
    assert_eq!(merchant.close("P1").await.1["status"], "CLOSED");
}

#[tokio::test]
async fn a_bad_call_is_refused_with_its_reason_and_writes_nothing() {
    let Rehearsal { merchant, _sandbox } = Rehearsal::start(json!({})).await;
    let good = merchant.payment("P1", "sandbox");
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body
    };
    for (body, named) in [
        (with("amount", json!(199.0)), "string"),
        (with("amount", json!("0.00")), "amount"),
        (with("amount", json!("-5")), "amount"),
        (with("currency", json!("euro")), "currency"),
        (with("method", json!("cash")), "cash"),
        (with("callbackUrl", json!("/callback")), "callbackUrl"),
        (with("orderNo", json!("")), "orderNo"),
        (json!({}), "merchantId"),
        (json!([]), "OpenPayment"),
    ] {
        let (status, problem) = merchant.post("/v1/payments", "P1", body).await;
        let detail = problem["detail"].to_string();
        assert_eq!(status, 400, "{detail}");
        assert!(detail.contains(named), "{named}: {detail}");
    }
    let (status, problem) = merchant.post("/v1/payments", "P2", good.clone()).await;
    assert_eq!((status, &problem["code"]), (400, &json!("idempotency_key")));
    let huge = with("orderNo", json!("x".repeat(70_000)));
    assert_eq!(merchant.post("/v1/payments", "P1", huge).await.0, 413);
    assert_eq!(merchant.get("/v1/payments/P1").await.0, 404);
}

#[tokio::test]
async fn nobody_gets_in_without_the_merchant_key() {
    let Rehearsal { merchant, _sandbox } = Rehearsal::start(json!({})).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for (method, path) in [
        (Method::POST, "/v1/payments"),
        (Method::GET, "/v1/payments/P1"),
        (Method::POST, "/v1/payments/P1/close"),
        (Method::POST, "/v1/refunds"),
        (Method::GET, "/v1/refunds/R1"),
        (Method::POST, "/v1/buyer/payments/P1/pay"),
        (Method::POST, "/v1/control"),
        (Method::GET, "/v1/books"),
        (Method::GET, "/v1/books/orders"),
    ] {
        let url = format!("http://{}{path}", merchant.provider);
        let wrong_key = format!("{MERCHANT_KEY}x");
        let bare = client.request(method.clone(), &url).send().await.unwrap();
        let wrong = client.request(method, &url).bearer_auth(wrong_key).send().await.unwrap();
        for response in [bare, wrong] {
            let (status, problem) = read(response).await;
            assert_eq!((status, &problem["code"]), (401, &json!("unauthorized")), "{path}");
        }
    }
    for path in ["/live", "/ready"] {
        let url = format!("http://{}{path}", merchant.provider);
        assert_eq!(client.get(url).send().await.unwrap().status(), 200);
    }
}
