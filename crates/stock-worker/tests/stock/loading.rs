//! Sessions that are not loaded, and loading in the middle of a sale.

use contracts::{SessionId, TicketId};

use crate::world::{Delivery, Sale, World};

#[tokio::test]
async fn a_wiped_session_waits_while_others_and_its_own_confirmations_go_on() {
    let world = World::selling(10, 10).await;
    let (a, b) = (world.a, world.b);
    world.run(vec![world.created("O1", 1, &[(a, 2)]), world.created("O2", 1, &[(a, 1)])]).await;
    let other = SessionId(world.session.get() + 1);
    let (c, d) = (TicketId(a.get() + 2), TicketId(b.get() + 2));
    let sale = Sale { total_a: 5, total_b: 5, per_user_limit: None };
    world.put(other, c, d, &sale).await;
    world.open(other).await;
    world.loader.load(other).await.expect("loaded");

    world.gate.unload(world.session).await.expect("wiped");
    world
        .publish(vec![
            world.created("O3", 1, &[(a, 1)]),
            world.paid("O1"),
            world.cancelled("O2", "user"),
            world.created_in(other, "P1", 1, &[(c, 1)]),
        ])
        .await;
    world
        .until("others go on", async || {
            world.said("O1").len() == 2
                && world.said("O2").len() == 2
                && world.said("P1").len() == 1
        })
        .await;
    assert_eq!(world.hold("O3").await, "none", "it waits");
    let sessions = world.worker.life.readiness.snapshot();
    let sessions = sessions.dependencies.iter().find(|found| found.name == "sessions");
    assert!(!sessions.expect("listed").up);

    world.loader.load(world.session).await.expect("loaded");
    world.quiet().await;
    assert_eq!(world.said("O3"), ["DEDUCTED"]);
    assert_eq!(world.counters().await, (1, 2));
    let attempts =
        world.bus.published().into_iter().filter(|m| m.properties.contains_key("attempt"));
    assert_eq!(attempts.count(), 0, "waiting is no attempt");
    world.audit().await;
}

#[tokio::test]
async fn a_wiped_redis_never_sells_a_ticket_twice() {
    let world = World::selling(10, 0).await;
    let order = |n: i64| world.created(&format!("O{n:02}"), n, &[(world.a, 1)]);
    world.run((0..8).map(order).collect()).await;
    world.gate.unload(world.session).await.expect("wiped");
    world.loader.load(world.session).await.expect("loaded");
    world.publish((0..20).map(order).collect()).await;
    world.quiet().await;
    assert_eq!(world.counters().await, (10, 0));
    world.audit().await;
}

/// What ends is not asked about the session, when that was heard within the last second; Redis may
/// have been filled meanwhile.
#[tokio::test]
async fn what_ends_right_after_a_load_is_settled_in_the_new_redis() {
    let world = World::selling(10, 0).await;
    let order = |n: i64| world.created(&format!("O{n}"), n, &[(world.a, 1)]);
    world.run((1..=4).map(order).collect()).await;
    world.gate.unload(world.session).await.expect("wiped");
    world.loader.load(world.session).await.expect("loaded");
    world.publish(vec![world.paid("O1"), world.cancelled("O2", "user")]).await;
    world.quiet().await;
    assert_eq!(world.hold("O1").await, "SOLD 1x1S");
    assert_eq!(world.hold("O2").await, "RELEASED 1x1R");
    world.audit().await;

    world.gate.unload(world.session).await.expect("wiped");
    world.publish(vec![world.paid("O3"), world.cancelled("O4", "user")]).await;
    world.until("both have ended", async || world.counters().await == (0, 2)).await;
    world.loader.load(world.session).await.expect("loaded");
    world.quiet().await;
    world.audit().await;
}

#[tokio::test]
async fn a_loaded_session_has_every_live_hold_tombstone_and_user() {
    let world = World::selling(10, 10).await;
    let (a, b) = (world.a, world.b);
    world
        .run(vec![
            world.created("O1", 1, &[(a, 2)]),
            world.created("O2", 2, &[(b, 1)]),
            world.paid("O2"),
            world.created("O3", 3, &[(a, 1)]),
            world.cancelled("O3", "user"),
            world.cancelled("O4", "user"),
        ])
        .await;
    let before = world.redis().await;
    let loaded = world.loader.load(world.session).await.expect("loaded");
    let after = world.redis().await;
    assert_eq!((loaded.records, loaded.users), (4, 2));
    assert_eq!(after.stock, before.stock);
    assert_eq!((after.records, after.users), (before.records, before.users));
    assert_eq!(after.epoch.map(|epoch| epoch.0), Some(loaded.epoch));
    world.audit().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loading_in_the_middle_of_a_sale_loses_nothing() {
    let sale = Sale { total_a: 150, total_b: 0, per_user_limit: None };
    let world =
        World::with(sale, Delivery { batch_max: 8, in_flight_max: 4, ..Delivery::default() }).await;
    world.consume().await;
    let mut messages = Vec::new();
    for n in 0..300 {
        let order = format!("O{n:03}");
        messages.push(world.created(&order, n, &[(world.a, 1)]));
        if n % 3 == 0 {
            messages.push(world.cancelled(&order, "user"));
        }
    }
    for chunk in messages.chunks(40) {
        world.publish(chunk.to_vec()).await;
        world.loader.load(world.session).await.expect("loaded");
    }
    world.quiet().await;
    world.audit().await;
}

#[tokio::test]
async fn one_load_at_a_time() {
    let world = World::selling(1, 1).await;
    let lease = world.store.load_lease(world.session).await.expect("asked").expect("free");
    let busy = world.loader.load(world.session).await.expect_err("another has the lease");
    assert!(matches!(busy, stock_worker::loading::LoadError::Busy(_)));
    lease.release().await;
    world.until("it is free", async || world.loader.load(world.session).await.is_ok()).await;
    let unknown = world.loader.load(SessionId(-1)).await.expect_err("unknown");
    assert!(matches!(unknown, stock_worker::loading::LoadError::Unknown(_)));
}
