//! An aggregate that wants no more from the bus for a while.

use std::time::Duration;

use common::bus::memory::MemoryOptions;

use super::{Database, World};

#[tokio::test(start_paused = true)]
async fn messages_stay_on_the_bus_until_the_aggregate_is_ready_for_them() {
    let world =
        World::new(MemoryOptions::default(), Database { busy: true, ..Database::default() });
    let world = world.await;
    world.publish(&[("a", "1")]).await;
    world.pipeline.start(&world.tasks);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.sum("a"), 0);
    world.database.lock().unwrap().busy = false;
    world.until(|database| database.inbox.len() == 1).await;
    assert_eq!(world.sum("a"), 1);
}

#[tokio::test(start_paused = true)]
async fn who_is_not_ready_for_more_ends_all_the_same() {
    let world =
        World::new(MemoryOptions::default(), Database { busy: true, ..Database::default() });
    let world = world.await;
    world.pipeline.start(&world.tasks);
    world.pipeline.stop();
    tokio::time::timeout(Duration::from_secs(60), world.tasks.wait()).await.expect("it ends");
}
