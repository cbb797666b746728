//! The sandbox gateway against the sandbox itself.

use common::config::Secret;
use common::readiness::{Need, Readiness};
use contracts::{Currency, OrderNo};
use order_worker::domain::{Call, CallKind};
use order_worker::payments::{
    Closed, Gateway as _, GatewayError, Opened, Refunded, Sandbox, SandboxConfig,
};
use serde_json::json;

use crate::payments::sandbox;
use crate::support::{MERCHANT_ID, MERCHANT_KEY, until};

fn gateway(provider: &str, readiness: &Readiness) -> Sandbox {
    let config = SandboxConfig {
        url: format!("http://{provider}/"),
        merchant_id: MERCHANT_ID.to_owned(),
        merchant_key: Secret::new(MERCHANT_KEY),
        callback_url: "http://127.0.0.1:1/nobody-listens".to_owned(),
        request_timeout_ms: 200,
        ..SandboxConfig::default()
    };
    Sandbox::new(&config, readiness.dependency("gateway", Need::Degraded)).unwrap()
}

fn call(kind: CallKind, payment_id: &str, method: &str) -> Call {
    let refund_id = (kind == CallKind::Refund).then(|| format!("{payment_id}-r1"));
    Call {
        call_id: Call::id_of(kind, payment_id),
        kind,
        order_no: OrderNo::new("A1").unwrap(),
        session_id: 7,
        payment_id: payment_id.to_owned(),
        refund_id,
        method: method.to_owned(),
        amount: "99.50".parse().unwrap(),
        currency: Currency::new("EUR").unwrap(),
    }
}

#[tokio::test]
async fn a_call_made_twice_finds_what_it_did() {
    let provider = sandbox(&json!({})).await;
    let gateway = gateway(&provider.address().to_string(), &Readiness::new("test"));
    let open = call(CallKind::Open, "p1", "sandbox-manual");
    let first = gateway.open(&open).await.unwrap();
    assert!(matches!(&first, Opened::Waiting { .. }), "{first:?}");
    assert_eq!(gateway.open(&open).await.unwrap(), first);
    let close = call(CallKind::Close, "p1", "sandbox-manual");
    for _ in 0..2 {
        assert_eq!(gateway.close(&close).await, Ok(Closed::Closed));
    }
    assert_eq!(gateway.open(&open).await, Ok(Opened::Closed));
    let never_opened = call(CallKind::Close, "p2", "sandbox");
    assert_eq!(gateway.close(&never_opened).await, Ok(Closed::Closed));
    let late = call(CallKind::Open, "p2", "sandbox");
    assert_eq!(gateway.open(&late).await, Ok(Opened::Closed), "the close left a tombstone");
    provider.stop().await;
}

#[tokio::test]
async fn a_capture_says_what_was_taken() {
    let provider = sandbox(&json!({})).await;
    let gateway = gateway(&provider.address().to_string(), &Readiness::new("test"));
    let open = call(CallKind::Open, "p1", "sandbox-instant");
    let Ok(Opened::Captured(captured)) = gateway.open(&open).await else { panic!("captured") };
    assert_eq!((captured.amount, captured.currency), (open.amount, open.currency));
    assert_eq!(captured.payment_id, "p1");
    let close = call(CallKind::Close, "p1", "sandbox-instant");
    assert_eq!(gateway.close(&close).await, Ok(Closed::Captured(captured)));
    provider.stop().await;
}

#[tokio::test]
async fn a_refund_is_pending_until_it_has_succeeded() {
    let provider = sandbox(&json!({ "refund_delay_ms": 100 })).await;
    let gateway = gateway(&provider.address().to_string(), &Readiness::new("test"));
    let refund = call(CallKind::Refund, "p1", "sandbox-instant");
    let unknown = gateway.refund(&refund).await;
    assert_eq!(unknown, Err(GatewayError::Refused("404 unknown_payment".to_owned())));
    gateway.open(&call(CallKind::Open, "p1", "sandbox-instant")).await.unwrap();
    assert_eq!(gateway.refund(&refund).await, Ok(Refunded::Pending));
    until(async || (gateway.refund(&refund).await == Ok(Refunded::Succeeded)).then_some(())).await;
    provider.stop().await;
}

#[tokio::test]
async fn a_refund_that_fails_is_refused() {
    let provider = sandbox(&json!({ "refund_delay_ms": 0, "refund_fail_ratio": 1.0 })).await;
    let gateway = gateway(&provider.address().to_string(), &Readiness::new("test"));
    gateway.open(&call(CallKind::Open, "p1", "sandbox-instant")).await.unwrap();
    let refund = call(CallKind::Refund, "p1", "sandbox-instant");
    until(async || {
        matches!(gateway.refund(&refund).await, Ok(Refunded::Refused { .. })).then_some(())
    })
    .await;
    provider.stop().await;
}

#[tokio::test]
async fn an_answer_that_comes_too_late_is_asked_for_by_our_id() {
    let provider = sandbox(&json!({ "slow_answer_ms": 60_000 })).await;
    let gateway = gateway(&provider.address().to_string(), &Readiness::new("test"));
    let open = call(CallKind::Open, "p1", "sandbox-slow");
    let opened = gateway.open(&open).await.unwrap();
    assert!(matches!(opened, Opened::Waiting { .. }), "{opened:?}");
    provider.stop().await;
}

#[tokio::test]
async fn a_provider_that_is_away_is_unknown_and_reported() {
    let readiness = Readiness::new("test");
    let provider = sandbox(&json!({ "outage": true })).await;
    let address = provider.address().to_string();
    let gateway = gateway(&address, &readiness);
    let reason = || readiness.snapshot().dependencies[0].reason.clone();
    let open = call(CallKind::Open, "p1", "sandbox");
    let unknown = Err(GatewayError::Unknown("answered 503".to_owned()));
    assert_eq!(gateway.open(&open).await, unknown);
    assert_eq!(reason().as_deref(), Some("answered 503"));
    assert!(readiness.is_ready(), "orders are accepted without it");
    provider.stop().await;
    let gone = gateway.open(&open).await;
    assert!(matches!(gone, Err(GatewayError::Unknown(_))), "{gone:?}");
    gateway.probe().await.expect_err("nobody listens");
}

#[tokio::test]
async fn a_probe_finds_the_provider_again() {
    let readiness = Readiness::new("test");
    let provider = sandbox(&json!({})).await;
    let gateway = gateway(&provider.address().to_string(), &readiness);
    assert!(!readiness.snapshot().dependencies[0].up);
    gateway.probe().await.unwrap();
    assert!(readiness.snapshot().dependencies[0].up);
    provider.stop().await;
}
