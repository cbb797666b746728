//! Redis may be wrong: PostgreSQL decides, and Redis is told.

use stock_worker::gate::{Epoch, SessionRows};

use crate::world::{Delivery, Sale, World};

/// Makes Redis believe in tickets that are not there, under the right epoch.
async fn lie(world: &World, free: i64) {
    let epoch = world.redis().await.epoch.expect("loaded");
    let rows =
        SessionRows { stock: vec![(world.a, free), (world.b, free)], ..SessionRows::default() };
    world.gate.load(world.session, epoch, &rows).await.expect("loaded");
}

#[tokio::test]
async fn redis_refuses_what_is_sold_out_before_the_database_hears_of_it() {
    let world = World::selling(3, 0).await;
    let orders = (0..8).map(|n| world.created(&format!("O{n}"), n, &[(world.a, 1)])).collect();
    world.run(orders).await;
    let sold_out = "SELECT count(*) FROM stock.reservations WHERE reason = 'sold_out'";
    assert_eq!(world.count(sold_out).await, 5);
    assert_eq!(world.counters().await, (3, 0));
    assert_eq!(world.redis().await.records, 3, "refused orders leave no record in Redis");
    world.audit().await;
}

#[tokio::test]
async fn what_redis_grants_too_much_the_database_refuses_in_the_middle_of_a_batch() {
    for batch_max in [1, 256] {
        let sale = Sale { total_a: 5, total_b: 1, per_user_limit: None };
        let world = World::with(sale, Delivery { batch_max, ..Delivery::default() }).await;
        lie(&world, 1_000).await;
        let (a, b) = (world.a, world.b);
        let mut orders = vec![
            world.created("O0", 1, &[(a, 2)]),
            // All lines or none: B has only one.
            world.created("O1", 1, &[(a, 1), (b, 2)]),
            world.created("O2", 1, &[(a, 2)]),
            world.created("O3", 1, &[(a, 2)]),
            world.created("O4", 1, &[(a, 1), (b, 1)]),
            world.created("O5", 1, &[(a, 1)]),
        ];
        orders.push(world.cancelled("O6", "user"));
        world.run(orders).await;
        for order in ["O0", "O2", "O4"] {
            assert_eq!(world.said(order), ["DEDUCTED"], "{order}, batches of {batch_max}");
        }
        for order in ["O1", "O3", "O5"] {
            assert_eq!(world.said(order), ["REJECTED reserve sold_out"], "{order}");
        }
        assert_eq!(world.counters().await, (5, 0));
        // Redis took back what PostgreSQL refused: it misses only what it had made up.
        let free = world.redis().await.stock[&a];
        assert_eq!(free, 1_000 - 5);
        world.loader.load(world.session).await.expect("loaded");
        world.audit().await;
    }
}

#[tokio::test]
async fn a_user_limit_holds_at_both_gates() {
    for redis_knows in [true, false] {
        let sale = Sale { total_a: 100, total_b: 0, per_user_limit: Some(4) };
        let world = World::with(sale, Delivery { batch_max: 1, ..Delivery::default() }).await;
        world.run(vec![world.created("O1", 7, &[(world.a, 3)])]).await;
        if !redis_knows {
            lie(&world, 97).await;
        }
        world
            .publish(vec![
                world.created("O2", 7, &[(world.a, 2)]),
                world.created("O3", 8, &[(world.a, 4)]),
                world.created("O4", 7, &[(world.a, 1)]),
            ])
            .await;
        world.quiet().await;
        assert_eq!(world.said("O2"), ["REJECTED reserve user_limit"], "redis: {redis_knows}");
        assert_eq!(world.said("O3"), ["DEDUCTED"]);
        assert_eq!(world.said("O4"), ["DEDUCTED"]);
        assert_eq!(world.counters().await, (8, 0));
        world.loader.load(world.session).await.expect("loaded");
        world.audit().await;
    }
}

#[tokio::test]
async fn two_orders_of_one_user_in_one_batch_share_the_limit() {
    for redis_limits in [true, false] {
        let sale = Sale { total_a: 100, total_b: 0, per_user_limit: Some(4) };
        let world = World::with(sale, Delivery::default()).await;
        if !redis_limits {
            // As if Redis had not known of the limit: both are granted, in one batch.
            let set = "UPDATE stock.sessions SET per_user_limit = 400";
            sqlx::query(set).execute(&world.database.pool).await.expect("written");
            world.run(vec![world.created("O0", 7, &[(world.a, 4)])]).await;
            let set = "UPDATE stock.sessions SET per_user_limit = 4";
            sqlx::query(set).execute(&world.database.pool).await.expect("written");
            world.publish(vec![world.created("O1", 7, &[(world.a, 1)])]).await;
            world.quiet().await;
            assert_eq!(world.said("O1"), ["REJECTED reserve user_limit"]);
        } else {
            world
                .run(vec![
                    world.created("O1", 7, &[(world.a, 3)]),
                    world.created("O2", 7, &[(world.a, 3)]),
                ])
                .await;
            assert_eq!(world.said("O1"), ["DEDUCTED"]);
            assert_eq!(world.said("O2"), ["REJECTED reserve user_limit"]);
        }
        world.audit().await;
    }
}

#[tokio::test]
async fn a_known_message_settles_redis_again() {
    let world = World::selling(5, 0).await;
    let created = world.created("O1", 1, &[(world.a, 2)]);
    let cancelled = world.cancelled("O1", "user");
    world.run(vec![created, cancelled.clone()]).await;
    // As if the process had died between its commit and Redis, and Redis still held it.
    let epoch = world.redis().await.epoch.unwrap_or(Epoch(0));
    let record = stock_worker::gate::Record {
        order_no: contracts::OrderNo::new("O1").expect("valid"),
        hold: stock_worker::gate::HoldNo::FIRST,
        user: None,
        lines: vec![stock_worker::gate::HoldLine {
            ticket: world.a,
            quantity: 2,
            state: stock_worker::gate::HoldState::Held,
        }],
        changed_at: common::clock::now(),
    };
    let rows = SessionRows {
        stock: vec![(world.a, 3), (world.b, 0)],
        records: vec![record],
        users: Vec::new(),
    };
    world.gate.load(world.session, epoch, &rows).await.expect("loaded");
    world.publish(vec![cancelled]).await;
    world.quiet().await;
    assert_eq!(world.redis().await.stock[&world.a], 5);
    assert_eq!(world.said("O1"), ["DEDUCTED", "ROLLED_BACK"]);
}
