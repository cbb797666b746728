//! `SALE_CHANGED`: who sells out is said, and who is available again.

use std::time::Duration;

use common::bus::Destination;
use contracts::{Body as _, SaleChanged, Tag, topics};
use stock_worker::sale::SoldOut;

use crate::world::{Sale, World};

fn sales(world: &World) -> Vec<SaleChanged> {
    let topic = Destination::Topic(topics::STOCK_TOPIC.into());
    let sales = world.bus.published().into_iter().filter(|message| {
        message.destination == topic && &*message.tag == Tag::SaleChanged.as_str()
    });
    sales.map(|sale| SaleChanged::read(Tag::SaleChanged, &sale.body).expect("readable")).collect()
}

#[tokio::test]
async fn flags_are_said_when_they_change_and_at_most_once_per_interval() {
    let world = World::selling(1, 5).await;
    let sold_out = |interval_ms| SoldOut {
        store: world.store.clone(),
        relay: world.worker.runtime.relay.clone(),
        interval: Duration::from_millis(interval_ms),
    };
    assert_eq!(sold_out(0).look().await.expect("looked"), 0, "nothing is sold out");
    world.run(vec![world.created("O1", 1, &[(world.a, 1)])]).await;
    assert_eq!(sold_out(0).look().await.expect("looked"), 1);
    assert_eq!(sold_out(0).look().await.expect("looked"), 0, "it was said");
    world.publish(vec![world.cancelled("O1", "user")]).await;
    world.quiet().await;
    assert_eq!(sold_out(60_000).look().await.expect("looked"), 0, "too soon");
    assert_eq!(sold_out(0).look().await.expect("looked"), 1, "available again");
    world.quiet().await;
    let flags: Vec<(i64, bool)> = sales(&world)
        .iter()
        .filter(|sale| sale.session_id == world.session)
        .map(|sale| (sale.version, sale.ticket_type(world.a).expect("A").sold_out))
        .collect();
    let last: Vec<_> = flags.into_iter().filter(|(version, _)| *version > 2).collect();
    assert_eq!(last, [(3, true), (4, false)]);
}

#[tokio::test]
async fn of_many_processes_one_says_it() {
    let world = World::selling(0, 5).await;
    let sold_out = || SoldOut {
        store: world.store.clone(),
        relay: world.worker.runtime.relay.clone(),
        interval: Duration::from_secs(60),
    };
    let looks = futures::future::join_all((0..4).map(|_| async { sold_out().look().await })).await;
    let said: usize = looks.into_iter().map(|look| look.expect("looked")).sum();
    assert_eq!(said, 1);
}

#[tokio::test]
async fn every_change_of_a_sale_raises_its_version() {
    let world = World::selling(1, 5).await;
    let sale = Sale { total_a: 2, total_b: 5, per_user_limit: Some(3) };
    world.put(world.session, world.a, world.b, &sale).await;
    world.put(world.session, world.a, world.b, &sale).await;
    let stored = world.store.stock(world.session).await.expect("read").expect("there");
    assert_eq!(stored.version, 3, "stored, opened, changed; the same again is no change");
    assert_eq!(stored.epoch, 2, "other totals need another load");
}
