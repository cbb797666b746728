//! Every message of a small sale, again.

use std::collections::BTreeSet;

use common::bus::OutgoingMessage;
use common::metric;
use contracts::{OrderStatus, Tag};
use devstack::workers::Kind;
use futures::future::join_all;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::json;

use crate::books::Books;
use crate::messages::{new_order_no, order_create};
use crate::orders::{order_no, paid, wanted};
use crate::stage::{BOX, FLOOR, Stage, USER_LIMIT};
use crate::tap::{Tap, tags};
use crate::wait::{LIMIT, until};

/// Published by whoever wants them, and taken by nobody here; or commands that no sale needs.
const NOT_SAID: [Tag; 6] = [
    Tag::OrderReserved,
    Tag::OrderConfirmed,
    Tag::OrderRefunded,
    Tag::StockDeduct,
    Tag::StockRollback,
    Tag::StockSync,
];

/// Not one of the small sale's.
const REPEATING_BUYER: i64 = 9_000;

/// As many as batches of one group are in hand at once.
const SERVICES: usize = 4;

/// Once this returns, each of them was said again: as it was, and then, by several services at
/// once, without its envelope, so that no inbox knows it and it is decided on what has become of
/// its order. All of it backwards.
pub(crate) async fn change_nothing(stage: &Stage, tap: &Tap) {
    let orders = small_sale(stage).await;
    stage.until_quiet().await;
    for kind in [Kind::Order, Kind::Stock] {
        let guesses = stage.count(kind, metric::PIPELINE_GUESSES).await;
        assert!(guesses > 0.0, "{kind:?} looks everything up");
    }
    a_repeated_request_is_no_wrong_guess(stage).await;
    stage.until_quiet().await;
    let said = tap.about(&orders);
    let expected: BTreeSet<Tag> = Tag::ALL.into_iter().filter(|t| !NOT_SAID.contains(t)).collect();
    assert_eq!(tags(&said), expected, "the sale says everything that a sale can say");
    stage.step(&format!("{} messages about {} orders", said.len(), orders.len()));
    let before = Books::read(stage).await;
    let failed = stage.attempts_failed().await;

    let backwards: Vec<_> = said.into_iter().rev().collect();
    stage.publish(backwards.clone()).await;
    stage.until_quiet().await;
    before.assert_same(&Books::read(stage).await, "all messages as they were");

    // Each batch is in a queue of its own, so that copies of a message are in hand at once.
    let foreign: Vec<_> = backwards.into_iter().map(without_envelope).collect();
    join_all((0..SERVICES).map(|_| stage.publish(foreign.clone()))).await;
    stage.until_quiet().await;
    before.assert_same(&Books::read(stage).await, "all messages without their envelope");
    assert_eq!(stage.attempts_failed().await, failed, "a repeated message failed");
    // No event had two effects, not even two that say the same.
    stage.operator(&["audit", "--wait-quiet", "10"]).await;
}

/// A wrong guess would cost its whole batch a failed statement, and slow down others for a second.
async fn a_repeated_request_is_no_wrong_guess(stage: &Stage) {
    // Requests, not what stock-worker says of them.
    let of_requests = format!("{}{{group=\"order-local\"", metric::PIPELINE_GUESSES);
    let guesses = || stage.count(Kind::Order, &of_requests);
    let misses = || stage.count(Kind::Order, metric::PIPELINE_MISSES);
    let order = wanted(REPEATING_BUYER, FLOOR, 1);
    until("a creation is guessed", LIMIT, async || {
        let key = common::testing::unique("again");
        let (guesses_before, misses_before) = (guesses().await, misses().await);
        let first = stage.orders.ask(&key, &order).await;
        assert_eq!(first.0, StatusCode::ACCEPTED, "{}", first.1);
        let was_guessed = guesses().await > guesses_before;
        let (status, answer) = stage.orders.ask(&key, &order).await;
        let was_missed = misses().await > misses_before;
        stage.orders.cancel(&order_no(&first.1)).await;
        assert_eq!((status, order_no(&answer)), (StatusCode::ACCEPTED, order_no(&first.1)));
        assert!(!was_missed, "the repeated creation was a wrong guess");
        was_guessed.then_some(()).ok_or_else(|| "it was looked up".to_owned())
    })
    .await;
}

fn without_envelope(message: OutgoingMessage) -> OutgoingMessage {
    OutgoingMessage { properties: Default::default(), ..message }
}

/// Some orders that end in each way there is but expiry; their numbers.
async fn small_sale(stage: &Stage) -> Vec<String> {
    let mut buyers = 1..;
    let mut buyer = || -> i64 { buyers.next().expect("there are enough") };
    let orders = &stage.orders;
    let everywhere = json!(["SMS", "EMAIL", "PUSH"]);

    let mut all_boxes = paid(wanted(buyer(), BOX, 2), "instant");
    all_boxes["channels"] = everywhere;
    let mut confirmed = vec![orders.create(&all_boxes).await];
    confirmed.push(orders.create(&paid(wanted(buyer(), FLOOR, 1), "sandbox")).await);
    // Nobody may have more.
    let greedy = buyer();
    let by_message = new_order_no();
    stage.publish(vec![order_create(&by_message, greedy, FLOOR, USER_LIMIT)]).await;
    confirmed.push(by_message);
    stage.until_status(&confirmed, OrderStatus::Confirmed).await;

    let (over_limit, sold_out, unknown) = (new_order_no(), new_order_no(), new_order_no());
    stage
        .publish(vec![
            order_create(&over_limit, greedy, FLOOR, 1),
            order_create(&sold_out, buyer(), BOX, 1),
            order_create(&unknown, buyer(), FLOOR + BOX, 1),
        ])
        .await;
    let rejected = vec![over_limit, sold_out, unknown];

    let reserved = orders.create(&wanted(buyer(), FLOOR, 2)).await;
    stage.until_status(std::slice::from_ref(&reserved), OrderStatus::Reserved).await;
    orders.cancel(&reserved).await;
    let declined = orders.create(&paid(wanted(buyer(), FLOOR, 1), "sandbox-decline")).await;
    let cancelled = vec![reserved, declined];

    let refunded = vec![paid_too_late(stage, buyer()).await];
    stage.until_status(&rejected, OrderStatus::Rejected).await;
    stage.until_status(&cancelled, OrderStatus::Cancelled).await;
    stage.until_status(&refunded, OrderStatus::Refunded).await;
    [confirmed, rejected, cancelled, refunded].concat()
}

/// Cancelled while the buyer is on the provider's page, then paid there all the same.
async fn paid_too_late(stage: &Stage, buyer: i64) -> String {
    let provider = &stage.workers().sandbox.api;
    let key = &stage.stack.tokens.merchant_key;
    let ask = async |request: RequestBuilder| {
        let answer = request.bearer_auth(key).send().await;
        answer.expect("the provider answers").status()
    };
    let control = stage.http.post(format!("{provider}/v1/control"));
    assert_eq!(ask(control.json(&json!({ "capture_after_close": true }))).await, StatusCode::OK);

    let order_no = stage.orders.create(&paid(wanted(buyer, FLOOR, 1), "sandbox-manual")).await;
    let payment = format!("{provider}/v1/payments/{order_no}-p1");
    until("the payment is open", LIMIT, async || match ask(stage.http.get(&payment)).await {
        StatusCode::OK => Ok(()),
        status => Err(status.to_string()),
    })
    .await;
    stage.orders.cancel(&order_no).await;
    let pay = format!("{provider}/v1/buyer/payments/{order_no}-p1/pay");
    assert_eq!(ask(stage.http.post(pay)).await, StatusCode::OK);
    order_no
}
