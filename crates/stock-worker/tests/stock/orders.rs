//! Order facts: repeated, in the wrong order, several of one order in one batch.

use common::bus::OutgoingMessage;
use common::bus::memory::{DeliveryOrder, MemoryOptions};

use crate::world::{Delivery, Sale, World};

/// Batches of one and of many run the same code.
const BATCHES: [usize; 2] = [1, 256];

async fn selling(total: i64, batch_max: usize) -> World {
    let sale = Sale { total_a: total, total_b: total, per_user_limit: None };
    World::with(sale, Delivery { batch_max, ..Delivery::default() }).await
}

#[tokio::test]
async fn an_order_is_held_sold_or_given_back() {
    for batch_max in BATCHES {
        let world = selling(10, batch_max).await;
        let (a, b) = (world.a, world.b);
        world
            .run(vec![
                world.created("O1", 1, &[(a, 2), (b, 1)]),
                world.created("O2", 2, &[(a, 3)]),
                world.created("O3", 3, &[(b, 1)]),
            ])
            .await;
        assert_eq!(world.counters().await, (5, 0));
        world.publish(vec![world.paid("O1"), world.cancelled("O2", "user")]).await;
        world.quiet().await;
        assert_eq!(world.said("O1"), ["DEDUCTED", "CONFIRMED"]);
        assert_eq!(world.said("O2"), ["DEDUCTED", "ROLLED_BACK"]);
        assert_eq!(world.said("O3"), ["DEDUCTED"]);
        assert_eq!(world.hold("O1").await, "SOLD 1x2S 2x1S");
        assert_eq!(world.hold("O2").await, "RELEASED 1x3R");
        assert_eq!(world.hold("O3").await, "HELD 2x1H");
        assert_eq!(world.counters().await, (0, 2));
        world.audit().await;
    }
}

#[tokio::test]
async fn every_message_twice_and_shuffled_says_everything_once() {
    for seed in 0..4 {
        let order = DeliveryOrder::Shuffled { seed };
        let options = MemoryOptions { copies: 2, order, ..MemoryOptions::default() };
        let sale = Sale { total_a: 40, total_b: 0, per_user_limit: None };
        let delivery = Delivery { options, batch_max: 7, in_flight_max: 4, ..Delivery::default() };
        let world = World::with(sale, delivery).await;
        let mut messages = Vec::new();
        for order in 0..20 {
            let order_no = format!("O{order}");
            messages.push(world.created(&order_no, order, &[(world.a, 1)]));
            messages.push(world.paid(&order_no));
        }
        world.run(messages).await;
        for order in 0..20 {
            assert_eq!(world.said(&format!("O{order}")), ["DEDUCTED", "CONFIRMED"]);
        }
        assert_eq!(world.counters().await, (0, 20));
        world.audit().await;
    }
}

#[tokio::test]
async fn a_cancel_before_its_creation_leaves_a_tombstone() {
    for batch_max in BATCHES {
        let world = selling(10, batch_max).await;
        world
            .run(vec![world.cancelled("O1", "expired"), world.created("O1", 1, &[(world.a, 2)])])
            .await;
        assert_eq!(world.said("O1"), ["ROLLED_BACK", "REJECTED reserve released"]);
        assert_eq!(world.hold("O1").await, "RELEASED");
        assert_eq!(world.counters().await, (0, 0));
        world.audit().await;
    }
}

#[tokio::test]
async fn a_payment_before_its_creation_comes_again() {
    for batch_max in BATCHES {
        let world = selling(10, batch_max).await;
        world.run(vec![world.paid("O1"), world.created("O1", 1, &[(world.a, 2)])]).await;
        assert_eq!(world.said("O1"), ["DEDUCTED", "CONFIRMED"]);
        assert_eq!(world.counters().await, (0, 2));
        world.audit().await;
    }
}

#[tokio::test]
async fn a_payment_of_nothing_is_dead_in_the_end() {
    let sale = Sale { total_a: 10, total_b: 10, per_user_limit: None };
    let world = World::with(sale, Delivery { attempts_max: 3, ..Delivery::default() }).await;
    world.run(vec![world.paid("O1")]).await;
    let dead =
        common::bus::Destination::Dead { group: "stock-order".into(), topic: "ORDER_TOPIC".into() };
    let dead: Vec<OutgoingMessage> =
        world.bus.published().into_iter().filter(|message| message.destination == dead).collect();
    assert_eq!(dead.len(), 1);
    assert!(dead[0].properties["error"].contains("order O1 holds nothing yet"));
    assert_eq!(world.hold("O1").await, "none");
}

#[tokio::test]
async fn several_messages_of_one_order_in_one_batch_are_one_change() {
    let world = selling(10, 256).await;
    let created = |order: &str| world.created(order, 1, &[(world.a, 1)]);
    world
        .run(vec![
            created("O1"),
            world.paid("O1"),
            created("O2"),
            world.cancelled("O2", "user"),
            world.cancelled("O3", "user"),
            created("O3"),
            created("O4"),
            created("O4"),
        ])
        .await;
    assert_eq!(world.said("O1"), ["DEDUCTED", "CONFIRMED"]);
    assert_eq!(world.said("O2"), ["DEDUCTED", "ROLLED_BACK"]);
    assert_eq!(world.said("O3"), ["ROLLED_BACK", "REJECTED reserve released"]);
    assert_eq!(world.said("O4"), ["DEDUCTED", "DEDUCTED"], "another event id, the same fact again");
    assert_eq!(world.counters().await, (1, 1));
    world.audit().await;
}

#[tokio::test]
async fn the_same_order_with_other_lines_is_refused_and_keeps_its_hold() {
    let world = selling(10, 256).await;
    world.run(vec![world.created("O1", 1, &[(world.a, 1)])]).await;
    world.publish(vec![world.created("O1", 1, &[(world.a, 2)])]).await;
    world.quiet().await;
    assert_eq!(world.said("O1"), ["DEDUCTED", "REJECTED reserve lines_differ"]);
    assert_eq!(world.hold("O1").await, "HELD 1x1H");
    world.audit().await;
}

#[tokio::test]
async fn a_payment_after_the_release_is_refused_on_confirm() {
    let world = selling(10, 256).await;
    world
        .run(vec![world.created("O1", 1, &[(world.a, 1)]), world.cancelled("O1", "expired")])
        .await;
    world.publish(vec![world.paid("O1")]).await;
    world.quiet().await;
    assert_eq!(world.said("O1"), ["DEDUCTED", "ROLLED_BACK", "REJECTED confirm released"]);
    world.audit().await;
}

#[tokio::test]
async fn a_release_of_what_is_sold_changes_nothing_and_calls_an_operator() {
    let world = selling(10, 256).await;
    world.run(vec![world.created("O1", 1, &[(world.a, 1)]), world.paid("O1")]).await;
    world.publish(vec![world.cancelled("O1", "payment")]).await;
    world.quiet().await;
    assert_eq!(world.said("O1"), ["DEDUCTED", "CONFIRMED"]);
    assert_eq!(world.hold("O1").await, "SOLD 1x1S");
    let repairs = "SELECT count(*) FROM stock.repairs \
                   WHERE kind = 'release_met_sold' AND subject = 'O1'";
    assert_eq!(world.count(repairs).await, 1);
    world.audit().await;
}

#[tokio::test]
async fn what_stock_worker_said_itself_is_ignored() {
    let world = selling(10, 256).await;
    world.run(vec![world.created("O1", 1, &[(world.a, 1)]), world.cancelled("O1", "stock")]).await;
    assert_eq!(world.said("O1"), ["DEDUCTED"]);
    assert_eq!(world.hold("O1").await, "HELD 1x1H");
    world.audit().await;
}
