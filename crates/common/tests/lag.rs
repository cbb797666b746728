//! A worker exports how many messages wait for each of its groups.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use common::bus::memory::MemoryBus;
use common::bus::{
    Destination, IncomingMessage, OutgoingMessage, Publisher as _, Subscription, retry_topic,
};
use common::config::{
    BrokerConfig, DrainConfig, InboxConfig, OutboxConfig, PipelineConfig, PostgresConfig,
};
use common::life::{Life, Program};
use common::metric::MESSAGES_WAITING;
use common::pipeline::{Recorded, Sink, SinkPipeline, StoreError, Unreadable};
use common::readiness::Need;
use common::testing::until;
use common::worker::{Base, Worker};
use uuid::Uuid;

const PROGRAM: Program = Program { name: "toy", version: "1", about: "Takes what comes" };
const TOPIC: &str = "LETTERS";

/// Takes everything.
struct Store;

#[async_trait]
impl Sink for Store {
    type Record = Bytes;

    async fn store(&self, _: &str, _: &[Recorded<Bytes>]) -> Result<(), StoreError> {
        Ok(())
    }
}

fn read(incoming: &IncomingMessage) -> Result<Recorded<Bytes>, Unreadable> {
    Ok(Recorded { event_id: Uuid::now_v7(), record: incoming.body.clone() })
}

/// The database is nowhere: nothing here needs it.
fn base() -> Base {
    let url = "postgres://nobody@127.0.0.1:1/none".parse().expect("a URL");
    Base {
        postgres: PostgresConfig { url, ..PostgresConfig::default() },
        broker: BrokerConfig::default(),
        pipeline: PipelineConfig::default(),
        outbox: OutboxConfig::default(),
        inbox: InboxConfig::default(),
        drain: DrainConfig::default(),
    }
}

fn worker(bus: &MemoryBus) -> Worker {
    let bus = Arc::new(bus.clone());
    Worker::start(Life::new(PROGRAM), &base(), "toy", bus, Need::Required)
}

/// A source that the worker knows; it takes nothing before it is started.
async fn source(worker: &Worker, group: &str) -> Arc<SinkPipeline<Store>> {
    let subscription = Subscription {
        topic: TOPIC.into(),
        group: group.into(),
        tags: vec![],
        batch_max: 10,
        in_flight_max: 1,
    };
    let (bus, runtime) = (&*worker.bus, worker.runtime.clone());
    let source =
        SinkPipeline::subscribe(Arc::new(Store), subscription, read, bus, runtime).await.unwrap();
    worker.add(source.clone());
    source
}

async fn publish(bus: &MemoryBus, topic: &str, count: usize) {
    let message = OutgoingMessage {
        destination: Destination::Topic(topic.into()),
        tag: "LETTER".into(),
        key: "key".into(),
        body: Bytes::from_static(b"letter"),
        properties: Default::default(),
        delay: None,
    };
    let answers = bus.publish(vec![message; count]).await;
    answers.into_iter().collect::<Result<(), _>>().unwrap();
}

/// Whether the worker's `/metrics` name this lag.
fn exports(worker: &Worker, group: &str, lag: u64) -> bool {
    let line = format!("{MESSAGES_WAITING}{{group=\"{group}\"}} {lag}");
    worker.life.metrics.render().lines().any(|exported| exported == line)
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_exported_for_each_group_until_it_is_taken() {
    let bus = MemoryBus::default();
    let worker = worker(&bus);
    let quick = source(&worker, "quick").await;
    source(&worker, "slow").await;
    publish(&bus, TOPIC, 3).await;
    until(|| exports(&worker, "quick", 3) && exports(&worker, "slow", 3)).await;
    quick.start(&worker.life.tasks);
    until(|| exports(&worker, "quick", 0)).await;
    assert!(exports(&worker, "slow", 3));
}

#[tokio::test(start_paused = true)]
async fn retries_wait_too() {
    let bus = MemoryBus::default();
    let worker = worker(&bus);
    source(&worker, "retrying").await;
    publish(&bus, TOPIC, 2).await;
    // A topic of its own, as RocketMQ keeps them.
    publish(&bus, &retry_topic("retrying"), 1).await;
    until(|| exports(&worker, "retrying", 3)).await;
}

#[tokio::test(start_paused = true)]
async fn while_the_broker_is_away_the_last_value_stays() {
    let bus = MemoryBus::default();
    let worker = worker(&bus);
    source(&worker, "cut-off").await;
    publish(&bus, TOPIC, 2).await;
    until(|| exports(&worker, "cut-off", 2)).await;
    bus.go_away();
    // The clock is paused: the broker is asked several times within this minute.
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(exports(&worker, "cut-off", 2));
    bus.come_back();
    publish(&bus, TOPIC, 1).await;
    until(|| exports(&worker, "cut-off", 3)).await;
}

#[tokio::test(start_paused = true)]
async fn asking_ends_with_the_process() {
    let bus = MemoryBus::default();
    let worker = worker(&bus);
    source(&worker, "ending").await;
    until(|| exports(&worker, "ending", 0)).await;
    worker.life.tasks.stop.cancel();
    worker.life.tasks.wait().await;
    assert_eq!(worker.life.tasks.failed(), None);
}
