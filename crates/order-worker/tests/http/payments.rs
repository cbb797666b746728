//! Payments from end to end: the worker, the provider, and what they say to each other.

use clap::Parser as _;
use order_worker::config::Config;
use reqwest::Method;
use sandbox::{Options, Sandbox};
use serde_json::{Value, json};

use crate::support::{CALLBACK_SECRET, MERCHANT_KEY, Rig, read, until};

/// The worker and a provider that knows where to call back.
struct Pair {
    rig: Rig,
    provider: String,
    sandbox: Sandbox,
}

impl Pair {
    async fn start(control: Value) -> Self {
        Self::start_with(control, |_| {}).await
    }

    async fn start_with(control: Value, configure: impl FnOnce(&mut Config)) -> Self {
        let sandbox = sandbox(&control).await;
        let provider = format!("http://{}", sandbox.address());
        let api = free_address();
        let rig = Rig::start_with(|config| {
            config.api.listen = api.clone();
            config.payments.sandbox.url = provider.clone();
            config.payments.sandbox.callback_url = format!("http://{api}/v1/payments/callback");
            configure(config);
        })
        .await;
        Self { rig, provider, sandbox }
    }

    async fn provider(&self, method: Method, path: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.provider);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        read(client.request(method, url).bearer_auth(MERCHANT_KEY).json(&body)).await.body
    }

    async fn at_provider(&self, payment_id: &str) -> Value {
        self.provider(Method::GET, &format!("/v1/payments/{payment_id}"), json!({})).await
    }

    async fn stop(self) {
        self.rig.stop().await;
        self.sandbox.stop().await;
    }
}

pub(crate) async fn sandbox(control: &Value) -> Sandbox {
    let options = Options::parse_from([
        "sandbox",
        "--merchant-key",
        MERCHANT_KEY,
        "--callback-secret",
        CALLBACK_SECRET,
        "--control",
        &control.to_string(),
    ]);
    Sandbox::start(options).await.unwrap()
}

/// The provider must know the address before the worker has it.
fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

fn payment_id(order: &Value) -> String {
    order["payments"][0]["paymentId"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_order_is_paid_in_each_way_that_works() {
    let control = json!({ "slow_answer_ms": 500, "duplicate_ratio": 0.5, "reorder_ratio": 0.5 });
    let pair = Pair::start_with(control, |config| {
        config.payments.sandbox.request_timeout_ms = 200;
    })
    .await;
    for method in ["instant", "sandbox", "sandbox-instant", "sandbox-slow"] {
        let order_no = pair.rig.reserved(Some(method)).await;
        let order = pair.rig.has_status(&order_no, "PAID").await;
        assert_eq!(order["payments"][0]["status"], "CAPTURED", "{method}");
        assert_eq!(order["payments"].as_array().unwrap().len(), 1, "{method}");
        assert_eq!(order["refunds"], json!([]), "{method}");
        pair.rig.stock(&order_no, "CONFIRMED").await;
        pair.rig.has_status(&order_no, "CONFIRMED").await;
        let cancel = pair.rig.cancel(&order_no).await;
        assert_eq!(cancel.body["code"], "not_cancellable", "{cancel:?}");
    }
    until(async || (pair.rig.count("calls").await == 0).then_some(())).await;
    pair.stop().await;
}

#[tokio::test]
async fn a_payment_may_be_named_later_and_is_found_again() {
    let pair = Pair::start(json!({})).await;
    let order_no = pair.rig.reserved(None).await;
    pair.rig.has_status(&order_no, "RESERVED").await;
    let first = pair.rig.pay(&order_no, "sandbox-manual").await;
    assert_eq!(first.status, 202, "{first:?}");
    let again = pair.rig.pay(&order_no, "sandbox-manual").await;
    assert_eq!(again.body["paymentId"], first.body["paymentId"]);
    let waits = |order: &Value| order["payments"][0]["status"] == "PENDING";
    let order = pair.rig.order_until(&order_no, waits).await;
    let pay = format!("/v1/buyer/payments/{}/pay", payment_id(&order));
    pair.provider(Method::POST, &pay, json!({})).await;
    pair.rig.has_status(&order_no, "PAID").await;
    pair.stop().await;
}

#[tokio::test]
async fn paying_in_two_ways_keeps_one_and_closes_the_other() {
    let pair = Pair::start(json!({})).await;
    let order_no = pair.rig.reserved(Some("sandbox-manual")).await;
    let waits = |order: &Value| order["payments"][0]["status"] == "PENDING";
    let order = pair.rig.order_until(&order_no, waits).await;
    assert_eq!(pair.rig.pay(&order_no, "instant").await.status, 202);
    let order_paid = |order: &Value| order["payments"][0]["status"] == "CLOSED";
    let paid = pair.rig.order_until(&order_no, order_paid).await;
    assert_eq!(paid["status"], "PAID");
    assert_eq!(paid["payments"][1]["status"], "CAPTURED");
    assert_eq!(pair.at_provider(&payment_id(&order)).await["status"], "CLOSED");
    pair.stop().await;
}

#[tokio::test]
async fn a_second_capture_goes_back() {
    let pair = Pair::start(json!({ "capture_after_close": true, "late_capture_ms": 300 })).await;
    let order_no = pair.rig.reserved(Some("sandbox-late")).await;
    let waits = |order: &Value| order["payments"][0]["status"] == "PENDING";
    pair.rig.order_until(&order_no, waits).await;
    assert_eq!(pair.rig.pay(&order_no, "instant").await.status, 202);
    pair.rig.has_status(&order_no, "PAID").await;
    let back = |order: &Value| order["refunds"][0]["status"] == "SUCCEEDED";
    let order = pair.rig.order_until(&order_no, back).await;
    assert_eq!(order["status"], "PAID", "the first payment stays");
    assert_eq!(order["refunds"].as_array().unwrap().len(), 1);
    let books = pair.at_provider(&payment_id(&order)).await;
    assert_eq!(
        (&books["capturedAmount"], &books["refundedAmount"]),
        (&json!("99.50"), &json!("99.50"))
    );
    pair.stop().await;
}

#[tokio::test]
async fn a_declined_payment_cancels_the_order() {
    let pair = Pair::start(json!({})).await;
    let order_no = pair.rig.reserved(Some("sandbox-decline")).await;
    let order = pair.rig.has_status(&order_no, "CANCELLED").await;
    assert_eq!(order["reason"], "payment");
    assert_eq!(order["payments"][0]["status"], "FAILED");
    pair.stop().await;
}

#[tokio::test]
async fn a_cancelled_order_closes_its_payment_and_gives_late_money_back() {
    let control = json!({ "capture_after_close": true, "refund_delay_ms": 200 });
    let pair = Pair::start(control).await;
    let order_no = pair.rig.reserved(Some("sandbox-manual")).await;
    let waits = |order: &Value| order["payments"][0]["status"] == "PENDING";
    let order = pair.rig.order_until(&order_no, waits).await;
    let payment_id = payment_id(&order);
    assert_eq!(pair.rig.cancel(&order_no).await.body["status"], "CANCELLED");
    until(async || (pair.at_provider(&payment_id).await["status"] == "CLOSED").then_some(())).await;
    pair.provider(Method::POST, &format!("/v1/buyer/payments/{payment_id}/pay"), json!({})).await;
    let order = pair.rig.has_status(&order_no, "REFUNDED").await;
    assert_eq!(order["refunds"][0]["status"], "SUCCEEDED");
    assert_eq!(pair.at_provider(&payment_id).await["refundedAmount"], "99.50");
    pair.stop().await;
}

#[tokio::test]
async fn a_provider_that_comes_back_is_asked_again_under_the_same_id() {
    let pair = Pair::start(json!({ "outage": true })).await;
    let order_no = pair.rig.reserved(Some("sandbox")).await;
    pair.rig.has_status(&order_no, "RESERVED").await;
    let attempts = "SELECT attempts FROM orders.calls";
    until(async || {
        let tried: Option<i32> =
            sqlx::query_scalar(attempts).fetch_optional(&pair.rig.database.pool).await.unwrap();
        tried.filter(|tried| *tried > 0)
    })
    .await;
    pair.provider(Method::POST, "/v1/control", json!({ "outage": false })).await;
    let order = pair.rig.has_status(&order_no, "PAID").await;
    assert_eq!(order["payments"].as_array().unwrap().len(), 1);
    pair.stop().await;
}

#[tokio::test]
async fn a_provider_that_stays_away_ends_the_order() {
    let pair = Pair::start_with(json!({ "outage": true }), |config| {
        config.payments.call_attempts_max = 2;
    })
    .await;
    let order_no = pair.rig.reserved(Some("sandbox")).await;
    let order = pair.rig.has_status(&order_no, "CANCELLED").await;
    assert_eq!(order["payments"][0]["status"], "FAILED");
    // Whether the payment exists is unknown, so it was closed, too; that gave up as well.
    until(async || (pair.rig.count("calls").await == 0).then_some(())).await;
    pair.stop().await;
}

#[tokio::test]
async fn money_whose_callback_was_lost_is_found_at_the_deadline() {
    let pair = Pair::start_with(json!({ "drop_ratio": 1.0 }), short_hold).await;
    let order_no = pair.rig.reserved(Some("sandbox")).await;
    let order = pair.rig.has_status(&order_no, "PAID").await;
    assert_eq!(order["payments"][0]["status"], "CAPTURED");
    assert!(order["paidAt"].as_str() > order["expiresAt"].as_str(), "{order:#}");
    pair.stop().await;
}

#[tokio::test]
async fn an_order_whose_buyer_walked_away_expires_with_its_payment_closed() {
    let pair = Pair::start_with(json!({}), short_hold).await;
    let order_no = pair.rig.reserved(Some("sandbox-manual")).await;
    let order = pair.rig.has_status(&order_no, "EXPIRED").await;
    assert_eq!(order["payments"][0]["status"], "CLOSED");
    assert_eq!(pair.at_provider(&payment_id(&order)).await["status"], "CLOSED");
    pair.stop().await;
}

fn short_hold(config: &mut Config) {
    config.orders.hold_s = 1;
    config.orders.grace_s = 0;
    config.orders.jitter_s = 0;
    config.expiry.sweep_interval_ms = 50;
}

#[tokio::test]
async fn forged_and_repeated_callbacks_do_no_harm() {
    let control = json!({ "forge_ratio": 1.0, "duplicate_ratio": 1.0 });
    let pair = Pair::start(control).await;
    let order_no = pair.rig.reserved(Some("sandbox")).await;
    let order = pair.rig.has_status(&order_no, "PAID").await;
    assert_eq!(order["payments"][0]["capturedAmount"], "99.50");
    let books = pair.provider(Method::GET, "/v1/books", json!({})).await;
    let believed = books.pointer("/callbacks/forgeriesBelieved");
    assert_eq!(believed, Some(&json!(0)), "{books:#}");
    pair.stop().await;
}
