//! Facts that overtake the order that they are about, and commands that come several times.

use contracts::{OrderStatus, Tag, topics};
use uuid::Uuid;

use crate::books::Books;
use crate::messages::{about, enveloped, new_order_no, order_create, tagged};
use crate::stage::{FLOOR, Stage};
use crate::wait::{LIMIT, until};

/// What order-worker hears of stock-worker.
const STOCK_FACTS: [Tag; 4] =
    [Tag::StockConfirmed, Tag::StockRejected, Tag::StockRolledBack, Tag::StockDeducted];

/// Begins when all is quiet. Once this returns, each order that such messages were about has ended
/// as if they had come in time.
pub(crate) async fn do_no_harm(stage: &Stage) {
    stock_facts_about_no_order_are_ignored_and_its_creation_counts_once(stage).await;
    a_payment_waits_for_its_order(stage).await;
    an_order_that_was_cancelled_first_is_rejected(stage).await;
}

async fn stock_facts_about_no_order_are_ignored_and_its_creation_counts_once(stage: &Stage) {
    let order_no = new_order_no();
    let before = Books::read(stage).await;
    let early = STOCK_FACTS.map(|tag| enveloped(tagged(tag, &order_no, &about(tag, &order_no))).0);
    stage.publish(early.into()).await;
    stage.until_quiet().await;
    before.assert_same(&Books::read(stage).await, "facts about an order that is not there");

    let buyer = common::testing::unique_number();
    let create = order_create(&order_no, buyer, FLOOR, 1);
    let (first, _) = enveloped(create.clone());
    let (second, _) = enveloped(create.clone());
    stage.publish(vec![first, second, create.clone(), create]).await;
    stage.until_status(std::slice::from_ref(&order_no), OrderStatus::Confirmed).await;
    stage.until_quiet().await;
    assert_eq!(payments(stage, &order_no).await, 1);

    // The same number for something else is no repetition.
    let before = Books::read(stage).await;
    let dead_before = stage.dead_letters().await.len();
    stage.publish(vec![order_create(&order_no, buyer, FLOOR, 2)]).await;
    let letters = until("another order of this number is dead", LIMIT, async || {
        let letters = stage.dead_letters().await;
        if letters.len() > dead_before { Ok(letters) } else { Err(format!("{}", letters.len())) }
    })
    .await;
    let letter = &letters[0];
    assert_eq!(letter.cause, format!("orderNo: {order_no} is taken by another order"));
    assert_eq!((letter.attempts, letter.deaths), (1, 1), "{letter:?}");
    let before = before.but_for("dlq.dead_letters");
    before.assert_same(&Books::read(stage).await, "another order of this number");
}

async fn a_payment_waits_for_its_order(stage: &Stage) {
    let order_no = new_order_no();
    let tag = Tag::OrderPaid;
    let (paid, event_id) = enveloped(tagged(tag, &order_no, &about(tag, &order_no)));
    let failed = stage.attempts_failed().await;
    stage.publish(vec![paid]).await;
    until("the payment was too early", LIMIT, async || {
        let now = stage.attempts_failed().await;
        if now > failed { Ok(()) } else { Err(format!("{now} attempts failed")) }
    })
    .await;
    let create = order_create(&order_no, common::testing::unique_number(), FLOOR, 1);
    stage.publish(vec![create]).await;
    stage.until_status(std::slice::from_ref(&order_no), OrderStatus::Confirmed).await;
    until("the payment was tried again", LIMIT, async || {
        match knows(stage, topics::STOCK_ORDER_GROUP, event_id).await {
            true => Ok(()),
            false => Err("stock-worker does not know it".to_owned()),
        }
    })
    .await;
}

async fn an_order_that_was_cancelled_first_is_rejected(stage: &Stage) {
    let order_no = new_order_no();
    let tag = Tag::OrderCancelled;
    let (cancelled, event_id) = enveloped(tagged(tag, &order_no, &about(tag, &order_no)));
    stage.publish(vec![cancelled]).await;
    until("the cancellation came first", LIMIT, async || {
        match knows(stage, topics::STOCK_ORDER_GROUP, event_id).await {
            true => Ok(()),
            false => Err("stock-worker does not know it".to_owned()),
        }
    })
    .await;
    let create = order_create(&order_no, common::testing::unique_number(), FLOOR, 1);
    stage.publish(vec![create]).await;
    stage.until_status(std::slice::from_ref(&order_no), OrderStatus::Rejected).await;
    assert_eq!(payments(stage, &order_no).await, 0);
}

/// How many attempts to pay an order has.
async fn payments(stage: &Stage, order_no: &str) -> i64 {
    let count = sqlx::query_scalar("SELECT count(*) FROM orders.payments WHERE order_no = $1");
    count.bind(order_no).fetch_one(&stage.database).await.expect("the database answers")
}

/// Whether a group of stock-worker has decided an event.
async fn knows(stage: &Stage, group: &str, event_id: Uuid) -> bool {
    let known = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM stock.inbox WHERE consumer_group = $1 AND event_id = $2)",
    );
    let known = known.bind(group).bind(event_id).fetch_one(&stage.database);
    known.await.expect("the database answers")
}
