//! Several processes at once.

use common::bus::memory::{DeliveryOrder, MemoryOptions};

use crate::world::{Delivery, Sale, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_members_of_a_group_sell_each_ticket_once() {
    let order = DeliveryOrder::Shuffled { seed: 7 };
    let options = MemoryOptions { copies: 2, order, ..MemoryOptions::default() };
    let sale = Sale { total_a: 100, total_b: 60, per_user_limit: Some(6) };
    let delivery = Delivery { options, batch_max: 16, in_flight_max: 4, ..Delivery::default() };
    let world = World::with(sale, delivery).await;
    let mut messages = Vec::new();
    for n in 0..400_i64 {
        let order = format!("O{n:03}");
        let lines = match n % 3 {
            0 => vec![(world.a, 1)],
            1 => vec![(world.b, 1), (world.a, 1)],
            _ => vec![(world.b, 2)],
        };
        messages.push(world.created(&order, n % 40, &lines));
        if n % 4 == 0 {
            messages.push(world.cancelled(&order, "user"));
        }
        if n % 5 == 0 {
            messages.push(world.paid(&order));
        }
    }
    // Four pipelines of each, on one database and one Redis.
    world.consume().await;
    world.consume().await;
    world.publish(messages).await;
    world.quiet().await;
    world.audit().await;
    let (reserved, sold) = world.counters().await;
    assert!(reserved + sold <= 100);
    assert!(reserved + sold > 0);
    let undecided = "SELECT 400 - count(*) FROM stock.reservations";
    assert_eq!(world.count(undecided).await, 0, "every order has its answer");
}
