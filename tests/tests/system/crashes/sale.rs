//! A sale in which everything happens that a worker has a handler for; its buyers do not give up.

use std::sync::atomic::{AtomicBool, Ordering};

use contracts::{OrderStatus, SessionId, Tag, topics};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::mail::MailServer;
use crate::messages::{bare, enveloped, foreign_hold, new_order_no, order_create, tagged};
use crate::orders::{order_no, paid, wanted};
use crate::stage::{FLOOR, SESSION, Stage};
use crate::wait::{LIMIT, until};

/// It holds tickets for two seconds.
const SHORT: SessionId = SessionId(2);
const SHORT_FLOOR: i64 = 21;
/// It opens and closes.
const TOGGLED: &str = "3";

/// Once this returns, each order has ended as it should.
pub(super) async fn run(stage: &Stage, mails: &MailServer) {
    tokio::join!(
        Box::pin(confirmed(stage, mails)),
        Box::pin(cancelled(stage)),
        Box::pin(paid_too_early(stage)),
        Box::pin(paid_too_late(stage)),
        Box::pin(never_paid(stage)),
        Box::pin(rejected(stage)),
        Box::pin(held_by_others(stage)),
        Box::pin(unreadable(stage)),
        Box::pin(toggled(stage)),
    );
}

/// By HTTP and by message, paid in the process and at the provider, told on every channel.
async fn confirmed(stage: &Stage, mails: &MailServer) {
    let reader = buyer();
    let address = format!("buyer{reader}@example.org");
    sqlx::query("INSERT INTO notify.recipients (user_id, email) VALUES ($1, $2)")
        .bind(reader)
        .bind(&address)
        .execute(&stage.database)
        .await
        .expect("the database answers");
    let mut everywhere = paid(wanted(reader, FLOOR, 2), "instant");
    everywhere["channels"] = json!(["SMS", "EMAIL", "PUSH"]);
    let by_message = new_order_no();
    let (create, _) = enveloped(order_create(&by_message, buyer(), FLOOR, 1));
    // Somebody says it twice.
    stage.publish(vec![create.clone(), create]).await;
    let at_provider = paid(wanted(buyer(), FLOOR, 1), "sandbox");
    let by_http = tokio::join!(accepted(stage, &everywhere), accepted(stage, &at_provider));
    stage.until_status(&[by_http.0, by_http.1, by_message], OrderStatus::Confirmed).await;
    until("the mail has come", LIMIT, async || {
        if mails.has_mail_for(&address) { Ok(()) } else { Err(address.clone()) }
    })
    .await;
}

async fn cancelled(stage: &Stage) {
    let reserved = accepted(stage, &wanted(buyer(), FLOOR, 1)).await;
    stage.until_status(std::slice::from_ref(&reserved), OrderStatus::Reserved).await;
    cancel(stage, &reserved).await;
    let declined = accepted(stage, &paid(wanted(buyer(), FLOOR, 1), "sandbox-decline")).await;
    stage.until_status(&[reserved, declined], OrderStatus::Cancelled).await;
}

/// The provider tells of the money before the order has come.
async fn paid_too_early(stage: &Stage) {
    let order_no = new_order_no();
    let payment = format!("{order_no}-p1");
    let provider = &stage.workers().sandbox.api;
    // As order-worker will ask for it.
    let body = json!({
        "merchantId": "boxoffice", "paymentId": payment, "orderNo": order_no, "amount": "79.00",
        "currency": "EUR", "method": "sandbox",
        "callbackUrl": format!("{}/v1/payments/callback", stage.workers().order.api),
    });
    let open = stage.http.post(format!("{provider}/v1/payments"));
    let opened = ask(stage, open.header("Idempotency-Key", &payment).json(&body)).await;
    assert!(opened.is_success(), "{opened}");
    let parked = "SELECT count(*) FROM orders.payment_events WHERE order_no = $1";
    until_one(stage, "the money is noted", parked, &order_no).await;
    let create = json!({
        "orderNo": order_no, "sessionId": SESSION.get(), "userId": buyer(), "ticketId": FLOOR,
        "quantity": 1, "paymentMethod": "sandbox",
    });
    stage.publish(vec![tagged(Tag::OrderCreate, &order_no, &create)]).await;
    stage.until_status(&[order_no], OrderStatus::Confirmed).await;
}

/// Cancelled while the buyer is on the provider's page, then paid there all the same.
async fn paid_too_late(stage: &Stage) {
    let control = json!({ "capture_after_close": true });
    let provider = &stage.workers().sandbox.api;
    let answer = ask(stage, stage.http.post(format!("{provider}/v1/control")).json(&control)).await;
    assert_eq!(answer, StatusCode::OK);
    let late = accepted(stage, &paid(wanted(buyer(), FLOOR, 1), "sandbox-manual")).await;
    let payment = format!("{provider}/v1/payments/{late}-p1");
    until("the payment is open", LIMIT, async || {
        match ask(stage, stage.http.get(&payment)).await {
            StatusCode::OK => Ok(()),
            status => Err(status.to_string()),
        }
    })
    .await;
    cancel(stage, &late).await;
    let pay = format!("{provider}/v1/buyer/payments/{late}-p1/pay");
    assert_eq!(ask(stage, stage.http.post(pay)).await, StatusCode::OK);
    stage.until_status(&[late], OrderStatus::Refunded).await;
}

async fn never_paid(stage: &Stage) {
    let mut unpaid = paid(wanted(buyer(), SHORT_FLOOR, 1), "sandbox-manual");
    unpaid["sessionId"] = SHORT.get().into();
    let unpaid = accepted(stage, &unpaid).await;
    stage.until_status(&[unpaid], OrderStatus::Expired).await;
}

async fn rejected(stage: &Stage) {
    let unknown = new_order_no();
    stage.publish(vec![order_create(&unknown, buyer(), FLOOR + 1, 1)]).await;
    stage.until_status(&[unknown], OrderStatus::Rejected).await;
}

async fn held_by_others(stage: &Stage) {
    let (order_no, messages) = foreign_hold();
    stage.publish(messages).await;
    let released = "SELECT count(*) FROM stock.reservations \
                    WHERE order_no = $1 AND status = 'RELEASED'";
    until_one(stage, "the foreign hold is released", released, &order_no).await;
}

async fn unreadable(stage: &Stage) {
    let key = new_order_no();
    let tag = Tag::OrderCreate.as_str();
    stage.publish(vec![bare(topics::ORDER_TOPIC, tag, &key, "{\"orderNo\":")]).await;
    let archived = "SELECT count(*) FROM dlq.dead_letters WHERE order_no = $1";
    until_one(stage, "the dead letter is archived", archived, &key).await;
    let id: String =
        sqlx::query_scalar("SELECT id::text FROM dlq.dead_letters WHERE order_no = $1")
            .bind(&key)
            .fetch_one(&stage.database)
            .await
            .expect("the database answers");
    // Its group can read it as little as before. Who asks again, because dlq-handler has died
    // meanwhile, may hear that it is on its way.
    let died_again = "SELECT count(*) FROM dlq.dead_letters WHERE order_no = $1 AND deaths > 1";
    until("the replay is archived, too", LIMIT * 2, async || {
        let replayed = stage.try_operator(&["dlq", "replay", &id]).await;
        match count_of(stage, died_again, &key).await {
            1 => Ok(()),
            _ => Err(format!("{replayed:?}")),
        }
    })
    .await;
}

async fn toggled(stage: &Stage) {
    static IS_OPEN: AtomicBool = AtomicBool::new(true);
    let action = if IS_OPEN.fetch_xor(true, Ordering::Relaxed) { "close" } else { "open" };
    until("the sale is told", LIMIT, async || {
        let told = stage.try_operator(&["sale", action, TOGGLED]).await;
        told.map(drop).map_err(|error| error.to_string())
    })
    .await;
}

/// The order's number, once it is accepted: asks under the same key until then.
async fn accepted(stage: &Stage, body: &Value) -> String {
    let key = common::testing::unique("crash");
    until("the order is accepted", LIMIT * 2, async || {
        match stage.orders.try_ask(&key, body).await {
            Ok((StatusCode::ACCEPTED, answer)) => Ok(order_no(&answer)),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

async fn cancel(stage: &Stage, order_no: &str) {
    until("the order is cancelled", LIMIT * 2, async || {
        match stage.orders.try_cancel(order_no).await {
            Ok((status, _)) if status.is_success() => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

/// Asks the provider, which never dies here.
async fn ask(stage: &Stage, request: RequestBuilder) -> StatusCode {
    let answer = request.bearer_auth(&stage.stack.tokens.merchant_key).send().await;
    answer.expect("the provider answers").status()
}

async fn until_one(stage: &Stage, what: &str, count: &'static str, key: &str) {
    until(what, LIMIT * 2, async || match count_of(stage, count, key).await {
        1 => Ok(()),
        count => Err(format!("{count} of {key}")),
    })
    .await;
}

async fn count_of(stage: &Stage, count: &'static str, key: &str) -> i64 {
    let count = sqlx::query_scalar(count).bind(key).fetch_one(&stage.database);
    count.await.expect("the database answers")
}

fn buyer() -> i64 {
    common::testing::unique_number()
}
