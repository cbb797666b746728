//! The outbox on a real PostgreSQL, by the tables of a worker.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::DateTime;
use common::bus::{Destination, OutgoingMessage, PublishError, Publisher};
use common::config::OutboxConfig;
use common::ids;
use common::outbox::{Batch, Outbox, Relay, Row};
use common::postgres::{Pool, Whole};
use common::readiness::{Need, Readiness};
use common::testing::{self, TestDatabase};

use sqlx::migrate::Migrator;
use tokio::time::Instant;
use uuid::Uuid;

const LEASE: Duration = Duration::from_secs(60);
const OVER: Duration = Duration::ZERO;

static TABLES: Migrator = sqlx::migrate!("../dlq-handler/migrations");

async fn database() -> (TestDatabase, Outbox) {
    (testing::postgres_database(&TABLES, "dlq").await, Outbox::new("dlq"))
}

/// A batch with a row for each tag.
fn batch(tags: &[&str]) -> Vec<Row> {
    let batch_id = ids::event_id();
    let row = |tag: &&str| Row {
        batch_id,
        event_id: ids::event_id(),
        session_id: 1,
        key: "A1".into(),
        destination: Destination::Topic("TOPIC".into()),
        tag: (*tag).into(),
        body: Bytes::from_static(b"{}"),
        aggregate_version: 1,
        occurred_at: DateTime::UNIX_EPOCH,
        causation_id: None,
        traceparent: None,
        properties: BTreeMap::new(),
    };
    tags.iter().map(row).collect()
}

async fn write(pool: &Pool, outbox: &Outbox, rows: &[Row], lease: Duration) {
    let mut whole = Whole::new();
    outbox.insert_with(&mut whole, &rows.iter().collect::<Vec<_>>(), lease);
    assert!(whole.run(pool).await.expect("the database answers"), "the rows are new");
}

async fn pending(pool: &Pool) -> Vec<Uuid> {
    sqlx::query_scalar(
        "SELECT batch_id FROM dlq.outbox_batches WHERE sent_at IS NULL ORDER BY batch_id",
    )
    .fetch_all(pool)
    .await
    .expect("the database answers")
}

async fn refused(pool: &Pool) -> Vec<String> {
    sqlx::query_scalar("SELECT tag FROM dlq.outbox WHERE dead_reason IS NOT NULL")
        .fetch_all(pool)
        .await
        .expect("the database answers")
}

/// A broker that takes everything but what is tagged `BAD`, unless it is away.
#[derive(Default)]
struct Broker {
    is_away: AtomicBool,
    taken: Mutex<Vec<String>>,
}

impl Broker {
    fn taken(&self) -> Vec<String> {
        self.taken.lock().expect("unpoisoned").clone()
    }
}

#[async_trait]
impl Publisher for Broker {
    async fn publish(&self, messages: Vec<OutgoingMessage>) -> Vec<Result<(), PublishError>> {
        let answer = |message: OutgoingMessage| {
            if &*message.tag == "BAD" {
                return Err(PublishError::Refused("too large".to_owned()));
            }
            if self.is_away.load(Ordering::SeqCst) {
                return Err(PublishError::Away("gone".to_owned()));
            }
            self.taken.lock().expect("unpoisoned").push(message.tag.to_string());
            Ok(())
        };
        messages.into_iter().map(answer).collect()
    }
}

fn relay(database: &TestDatabase, outbox: &Outbox, queue_max: usize) -> (Relay, Arc<Broker>) {
    let broker = Arc::new(Broker::default());
    let readiness = Readiness::new("test-worker");
    let config = OutboxConfig { relay_queue_max: queue_max, ..OutboxConfig::default() };
    let relay = Relay::start(
        broker.clone(),
        database.pool.clone(),
        outbox.clone(),
        "test/1".to_owned(),
        readiness.dependency("broker", Need::Required),
        &config,
    );
    (relay, broker)
}

#[tokio::test]
async fn a_batch_is_marked_once_all_its_rows_are_published() {
    let (database, outbox) = database().await;
    let (relay, broker) = relay(&database, &outbox, 100);
    let (one, other) = (batch(&["A", "B"]), batch(&["C"]));
    write(&database.pool, &outbox, &one, LEASE).await;
    write(&database.pool, &outbox, &other, LEASE).await;
    // Not all of the first batch: it can't be called published.
    let rows = [&one[..1], &other[..]].concat();
    relay.hand_over(rows, Instant::now());
    relay.flush().await;
    assert_eq!(broker.taken(), ["A", "C"]);
    assert_eq!(pending(&database.pool).await, [one[0].batch_id]);
}

#[tokio::test]
async fn a_refused_row_keeps_its_reason_and_holds_nobody_up() {
    let (database, outbox) = database().await;
    let (relay, broker) = relay(&database, &outbox, 100);
    let rows = batch(&["A", "BAD", "B"]);
    write(&database.pool, &outbox, &rows, LEASE).await;
    relay.hand_over(rows.clone(), Instant::now());
    relay.flush().await;
    assert_eq!(broker.taken(), ["A", "B"]);
    assert!(pending(&database.pool).await.is_empty());
    assert_eq!(refused(&database.pool).await, ["BAD"]);

    let history = outbox.history(&database.pool, "A1", 10).await.expect("the database answers");
    let published: Vec<(&str, bool)> =
        history.iter().map(|past| (&*past.row.tag, past.sent_at.is_some())).collect();
    assert_eq!(published, [("A", true), ("BAD", false), ("B", true)]);

    // An operator still finds it when its batch is gone.
    let later = Uuid::from_u128(u128::MAX);
    assert_eq!(outbox.purge(&database.pool, later, 10).await.expect("purged"), 3);
    assert_eq!(refused(&database.pool).await, ["BAD"]);
    assert_eq!(outbox.purge(&database.pool, later, 10).await.expect("purged"), 0);
}

#[tokio::test]
async fn while_the_broker_is_away_all_stays_pending() {
    let (database, outbox) = database().await;
    let (relay, broker) = relay(&database, &outbox, 100);
    broker.is_away.store(true, Ordering::SeqCst);
    let rows = batch(&["A", "B"]);
    write(&database.pool, &outbox, &rows, LEASE).await;
    relay.hand_over(rows.clone(), Instant::now());
    relay.flush().await;
    assert_eq!(pending(&database.pool).await, [rows[0].batch_id]);
}

#[tokio::test]
async fn of_what_does_not_fit_nothing_is_published() {
    let (database, outbox) = database().await;
    let (relay, broker) = relay(&database, &outbox, 2);
    let rows = batch(&["A", "B", "C"]);
    write(&database.pool, &outbox, &rows, LEASE).await;
    relay.hand_over(rows.clone(), Instant::now());
    relay.flush().await;
    assert!(broker.taken().is_empty());
    assert_eq!(pending(&database.pool).await, [rows[0].batch_id]);
}

#[tokio::test]
async fn batches_are_claimed_when_their_lease_is_over_until_there_are_enough_rows() {
    let (database, outbox) = database().await;
    let leased = batch(&["L"]);
    write(&database.pool, &outbox, &leased, LEASE).await;
    let mut left = Vec::new();
    for tags in [&["A", "B"][..], &["C", "D"], &["E"]] {
        let rows = batch(tags);
        write(&database.pool, &outbox, &rows, OVER).await;
        left.push(Batch { id: rows[0].batch_id, events: rows.len() });
    }
    let claim = async |limit| {
        outbox.claim(&database.pool, limit, LEASE).await.expect("the database answers")
    };
    // The second batch passes the limit; the third is another round's.
    let first = claim(3).await;
    assert_eq!(first.batches, [(left[0], LEASE), (left[1], LEASE)]);
    assert_eq!(first.rows.len(), 4);
    let second = claim(3).await;
    assert_eq!(second.batches, [(left[2], LEASE)]);
    assert!(claim(3).await.batches.is_empty(), "all are leased");

    // However often it was claimed: 64 times as long, no longer.
    sqlx::query(
        "UPDATE dlq.outbox_batches SET attempts = 5000, lease_until = now() - interval '1 s'",
    )
    .execute(&*database.pool)
    .await
    .expect("the database answers");
    assert_eq!(claim(1).await.batches, [(Batch { id: leased[0].batch_id, events: 1 }, LEASE * 64)]);
}

#[tokio::test]
async fn a_batch_of_which_all_is_refused_is_claimed_without_rows() {
    let (database, outbox) = database().await;
    let rows = batch(&["BAD"]);
    write(&database.pool, &outbox, &rows, OVER).await;
    outbox.mark_dead(&database.pool, &rows[0], "too large").await.expect("marked");
    let claimed = outbox.claim(&database.pool, 10, LEASE).await.expect("the database answers");
    assert!(claimed.rows.is_empty());
    let batches: Vec<Batch> = claimed.batches.iter().map(|(batch, _)| *batch).collect();
    outbox.mark_sent(&database.pool, &batches).await.expect("marked");
    assert!(pending(&database.pool).await.is_empty());
}

#[tokio::test]
async fn what_is_claimed_is_what_was_written() {
    let (database, outbox) = database().await;
    let mut plain = batch(&["A", "B"]);
    plain[1].causation_id = Some(ids::event_id());
    // One row of its transaction that has more than an envelope.
    let mut mixed = batch(&["C", "D"]);
    mixed[1].destination = Destination::Dead { group: "group".into(), topic: "TOPIC".into() };
    mixed[1].properties = BTreeMap::from([("name".to_owned(), "Zürich".to_owned())]);
    let mut traced = batch(&["E"]);
    traced[0].traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into());
    let two = [batch(&["F"]), batch(&["G"])].concat();
    let written = [plain, mixed, traced, two];
    for rows in &written {
        write(&database.pool, &outbox, rows, OVER).await;
    }
    let claimed = outbox.claim(&database.pool, 10, LEASE).await.expect("the database answers");
    assert_eq!(claimed.batches.len(), 5, "the last rows have a batch each");
    let mut rows = claimed.rows;
    rows.sort_by(|a, b| a.tag.cmp(&b.tag));
    assert_eq!(rows, written.concat());
}
