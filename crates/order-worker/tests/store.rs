//! What the store asks the database, and what it does not.

use std::time::Duration;

use common::config::PostgresConfig;
use common::postgres;
use common::testing::{Door, postgres_config, postgres_database};
use contracts::{OrderNo, SessionId};
use order_worker::aggregate::Key;
use order_worker::store::{MIGRATOR, SCHEMA, Snapshot, Store};

const GROUP: &str = "order-stock";
const LEASE: Duration = Duration::from_secs(30);
const LONGER_THAN_RELIED_ON: Duration = Duration::from_millis(1_100);

async fn load(store: &Store, keys: &[&Key]) -> Option<Snapshot> {
    store.load(GROUP, keys, &[], &[], None).await.ok()
}

#[tokio::test]
async fn the_time_is_reckoned_for_a_second_when_nothing_else_is_asked() {
    let database = postgres_database(&MIGRATOR, SCHEMA).await;
    let mut url: url::Url = database.url.parse().expect("a URL");
    let server = format!("{}:{}", url.host_str().expect("a host"), url.port().unwrap_or(5432));
    let door = Door::before(server).await;
    url.set_port(Some(door.address().port())).expect("a port");
    door.open();
    let config = PostgresConfig { acquire_timeout_ms: 200, ..postgres_config(url.as_str()) };
    let store = Store::new(postgres::pool(&config, "test"), LEASE);
    let some_order = Key::Order(OrderNo::new("0100000000000001").expect("a number"));

    // To connect may take longer than what is relied on.
    assert!(load(&store, &[&some_order]).await.is_some());
    let said = load(&store, &[&some_order]).await.expect("the database answers").now;
    door.shut();
    let reckoned = load(&store, &[]).await.expect("nobody needs to be asked").now;
    assert!((said..said + chrono::TimeDelta::seconds(1)).contains(&reckoned));
    assert!(load(&store, &[&some_order]).await.is_none(), "an order is read");
    let known_sales = Some([(SessionId(1), 1)].as_slice());
    assert!(store.load(GROUP, &[], &[], &[], known_sales).await.is_err(), "a sale is read");
    let event = uuid::Uuid::now_v7();
    assert!(store.load(GROUP, &[], &[], &[event], None).await.is_err(), "the inbox is read");
    tokio::time::sleep(LONGER_THAN_RELIED_ON).await;
    assert!(load(&store, &[]).await.is_none(), "it is too long ago");
}
