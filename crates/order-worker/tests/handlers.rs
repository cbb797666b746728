//! The whole worker on a bus in memory and a real PostgreSQL: what it answers to each message,
//! delivered twice, too early, in the wrong order, and two of one order in one batch.

mod harness;

use common::bus::Destination;
use common::bus::memory::{DeliveryOrder, MemoryOptions};
use contracts::{
    Body as _, NotificationMessage, OrderEventMessage, OrderStatus, StockOperation, StockStep, Tag,
    properties,
};
use harness::{Options, Stage, create, stock_fact};

/// `ORDER_CREATE`, each message twice and in any order, up to the confirmed order.
#[tokio::test]
async fn a_command_becomes_a_confirmed_order_however_often_and_in_whatever_order() {
    for seed in 0..4 {
        let order = DeliveryOrder::Shuffled { seed };
        let bus = MemoryOptions { order, copies: 2, ..MemoryOptions::default() };
        let stage = Stage::open(Options { bus, ..Options::default() }).await;
        let mut command = create("A1");
        command.payment_method = Some("instant".to_owned());
        stage.publish_order(Tag::OrderCreate, &command).await;
        stage.until_said("A1", Tag::OrderCreated, 1).await;
        stage.publish_stock(&stock_fact(StockOperation::Deducted, "A1")).await;
        stage.until_said("A1", Tag::OrderPaid, 1).await;
        stage.publish_stock(&stock_fact(StockOperation::Confirmed, "A1")).await;
        stage.until_status("A1", OrderStatus::Confirmed).await;
        stage.until_said("A1", Tag::Email, 1).await;
        let said = stage.settled("A1").await;
        assert_eq!(said, [Tag::OrderCreated, Tag::OrderPaid, Tag::Email], "seed {seed}");
        stage.close().await;
    }
}

#[tokio::test]
async fn a_notification_carries_no_address_and_its_id_names_the_transition() {
    let stage = Stage::open(Options::default()).await;
    stage.publish_order(Tag::OrderCreate, &create("A1")).await;
    stage.until_said("A1", Tag::OrderCreated, 1).await;
    let mut rejected = stock_fact(StockOperation::Rejected, "A1");
    rejected.on = Some(StockStep::Reserve);
    rejected.reason = Some("sold_out".to_owned());
    stage.publish_stock(&rejected).await;
    stage.until_said("A1", Tag::Email, 1).await;
    let sent = stage.said_about("A1");
    let body = &sent.iter().find(|message| &*message.tag == "EMAIL").unwrap().body;
    let notification = NotificationMessage::read(Tag::Email, body).unwrap();
    assert_eq!(notification.notification_id.unwrap().as_str(), "A1-rejected-EMAIL");
    assert_eq!(notification.template.as_deref(), Some("order.rejected"));
    assert!(notification.email.is_none() && notification.phone.is_none());
    stage.close().await;
}

#[tokio::test]
async fn stock_facts_of_one_order_in_one_batch_are_decided_in_turn() {
    let stage = Stage::open(Options::default()).await;
    stage.publish_order(Tag::OrderCreate, &create("A1")).await;
    stage.until_said("A1", Tag::OrderCreated, 1).await;
    let deducted = stock_fact(StockOperation::Deducted, "A1");
    let rolled_back = stock_fact(StockOperation::RolledBack, "A1");
    stage.publish_stock_together(&[deducted, rolled_back]).await;
    stage.until_status("A1", OrderStatus::Cancelled).await;
    assert_eq!(stage.settled("A1").await, [Tag::OrderCreated, Tag::OrderCancelled, Tag::Email]);
    stage.close().await;
}

#[tokio::test]
async fn a_hold_that_comes_after_the_end_is_told_to_go() {
    let options = Options { hold_s: 1, ..Options::default() };
    let stage = Stage::open(options).await;
    stage.publish_order(Tag::OrderCreate, &create("A1")).await;
    stage.until_status("A1", OrderStatus::Expired).await;
    stage.until_said("A1", Tag::OrderCancelled, 1).await;
    stage.publish_stock(&stock_fact(StockOperation::Deducted, "A1")).await;
    stage.until_said("A1", Tag::OrderCancelled, 2).await;
    for message in stage.said_about("A1") {
        if &*message.tag == Tag::OrderCancelled.as_str() {
            let body = OrderEventMessage::read(Tag::OrderCancelled, &message.body).unwrap();
            assert_eq!(body.reason.as_deref(), Some("expired"));
        }
    }
    stage.close().await;
}

#[tokio::test]
async fn stock_that_confirms_before_the_payment_is_ignored_and_recorded() {
    let stage = Stage::open(Options::default()).await;
    stage.publish_order(Tag::OrderCreate, &create("A1")).await;
    stage.until_said("A1", Tag::OrderCreated, 1).await;
    stage.publish_stock(&stock_fact(StockOperation::Confirmed, "A1")).await;
    stage.until_inbox("order-stock", 1).await;
    assert_eq!(stage.status("A1").await, Some(OrderStatus::Pending));
    stage.close().await;
}

#[tokio::test]
async fn facts_about_somebody_elses_order_are_ignored() {
    let stage = Stage::open(Options::default()).await;
    stage.publish_stock(&stock_fact(StockOperation::Deducted, "JAVA-1")).await;
    stage.until_inbox("order-stock", 1).await;
    assert_eq!(stage.status("JAVA-1").await, None);
    assert!(stage.settled("JAVA-1").await.is_empty());
    stage.close().await;
}

#[tokio::test]
async fn a_refused_command_becomes_a_rejected_order_that_says_so() {
    let stage = Stage::open(Options::default()).await;
    let mut command = create("A1");
    command.currency = contracts::Currency::new("EUR").ok();
    stage.publish_order(Tag::OrderCreate, &command).await;
    stage.until_status("A1", OrderStatus::Rejected).await;
    stage.until_said("A1", Tag::Email, 1).await;
    assert_eq!(stage.settled("A1").await, [Tag::OrderCancelled, Tag::Email]);
    stage.close().await;
}

#[tokio::test]
async fn the_same_command_under_another_event_is_the_same_order() {
    let stage = Stage::open(Options::default()).await;
    stage.publish_order(Tag::OrderCreate, &create("A1")).await;
    stage.publish_order(Tag::OrderCreate, &create("A1")).await;
    stage.until_inbox("order-intake", 2).await;
    assert_eq!(stage.settled("A1").await, [Tag::OrderCreated]);

    let mut other = create("A1");
    other.user_id = Some(contracts::UserId(77));
    stage.publish_order(Tag::OrderCreate, &other).await;
    let dead = stage.dead_letters(1).await;
    assert_eq!(dead[0].properties[properties::ERROR], "1: orderNo: A1 is taken by another order");
    stage.close().await;
}

#[tokio::test]
async fn a_java_command_without_an_envelope_is_taken_once() {
    let stage = Stage::open(Options::default()).await;
    let body = r#"{"orderNo":"J1","userId":7,"showId":1,"sessionId":3,"ticketId":5,"quantity":2,
        "totalAmount":null,"status":0,"eventTime":"2026-11-21T07:12:19.553003312",
        "eventType":null,"extData":null}"#;
    stage.publish_raw("ORDER_TOPIC", "ORDER_CREATE", body, &[]).await;
    stage.publish_raw("ORDER_TOPIC", "ORDER_CREATE", body, &[]).await;
    stage.until_said("J1", Tag::OrderCreated, 1).await;
    assert_eq!(stage.settled("J1").await, [Tag::OrderCreated]);
    stage.until_inbox("order-intake", 1).await;
    stage.close().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_dead_at_once_with_the_field_and_harms_nobody() {
    let stage = Stage::open(Options::default()).await;
    let good = create("GOOD").to_body().unwrap();
    let good = std::str::from_utf8(&good).unwrap();
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);
    let cases: [Case<'_>; 6] = [
        ("{", &[], "body: not JSON"),
        (r#"{"userId":7}"#, &[], "orderNo: required"),
        (
            r#"{"orderNo":"X","userId":"seven","sessionId":3,"ticketId":5,"quantity":1}"#,
            &[],
            "userId: ",
        ),
        (
            r#"{"orderNo":"X","userId":7,"sessionId":3,"ticketId":5,"quantity":0}"#,
            &[],
            "quantity: ",
        ),
        (good, &[("schemaVersion", "9")], "schemaVersion: version 9 is unknown"),
        (good, &[("eventId", "no-uuid"), ("schemaVersion", "1")], "eventId: "),
    ];
    for (body, envelope, _) in cases {
        stage.publish_raw("ORDER_TOPIC", "ORDER_CREATE", body, envelope).await;
    }
    stage.publish_order(Tag::OrderCreate, &create("A1")).await;
    stage.until_said("A1", Tag::OrderCreated, 1).await;
    let dead = stage.dead_letters(cases.len()).await;
    for ((_, _, expected), message) in cases.iter().zip(&dead) {
        let cause = &message.properties[properties::ERROR];
        assert!(cause.contains(expected), "{cause} should name {expected}");
        assert_eq!(
            message.destination,
            Destination::Dead { group: "order-intake".into(), topic: "ORDER_TOPIC".into() }
        );
    }
    assert_eq!(dead.len(), cases.len());
    stage.close().await;
}

#[tokio::test]
async fn an_order_that_nobody_pays_expires_and_gives_its_tickets_back() {
    let stage = Stage::open(Options { hold_s: 1, ..Options::default() }).await;
    stage.publish_order(Tag::OrderCreate, &create("A1")).await;
    stage.until_said("A1", Tag::OrderCreated, 1).await;
    stage.publish_stock(&stock_fact(StockOperation::Deducted, "A1")).await;
    stage.until_status("A1", OrderStatus::Expired).await;
    stage.until_said("A1", Tag::Email, 1).await;
    assert_eq!(stage.settled("A1").await, [Tag::OrderCreated, Tag::OrderCancelled, Tag::Email]);
    stage.close().await;
}

#[tokio::test]
async fn an_outage_of_the_database_burns_no_attempt_and_loses_nothing() {
    let stage = Stage::open(Options::default()).await;
    stage.door.shut();
    stage.publish_order(Tag::OrderCreate, &create("A1")).await;
    stage.until_not_ready("postgresql").await;
    // It is tried again and again while it is away.
    let before = stage.door.turned_away();
    common::testing::until(|| stage.door.turned_away() >= before + 10).await;
    stage.door.open();
    stage.until_said("A1", Tag::OrderCreated, 1).await;
    let given_back = stage.given_back();
    assert!(given_back.is_empty(), "an attempt was counted: {given_back:?}");
    stage.close().await;
}
