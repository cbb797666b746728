//! A running worker, and what a test does to it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::auth;
use common::bus::memory::MemoryBus;
use common::bus::{Bus, Destination, OutgoingMessage, Publisher as _, Subscription};
use common::config::Provisioning;
use common::ids;
use common::life::Life;
use common::testing::{self, TestDatabase};
use contracts::{Envelope, properties as names};
use dlq_handler::store::{Filter, Full, MIGRATOR, SCHEMA, Store, Summary};
use dlq_handler::{Config, PROGRAM, Running};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

/// Tokens: both scopes, and one that reads only.
pub(crate) const OPERATOR: &str = "operator-token";
pub(crate) const READER: &str = "reader-token";
/// The consumer groups whose dead letters are archived, and the topic that both take.
pub(crate) const GROUP: &str = "stock-order";
pub(crate) const OTHER_GROUP: &str = "order-stock";
pub(crate) const TOPIC: &str = "ORDER_TOPIC";

const WAIT_MAX: Duration = Duration::from_secs(20);

pub(crate) struct Stage {
    pub(crate) bus: MemoryBus,
    /// Past the door, so that a test sees what is there during an outage.
    pub(crate) store: Store,
    pub(crate) life: Life,
    pub(crate) database: TestDatabase,
    running: Running,
    client: reqwest::Client,
    _tokens: TempDir,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::on(MemoryBus::default(), |_| {}).await
    }

    pub(crate) async fn on(bus: MemoryBus, change: impl FnOnce(&mut Config)) -> Self {
        let of_the_worker = Arc::new(bus.client());
        Self::on_any(bus, of_the_worker, change).await
    }

    /// The worker is a client of any broker; `bus` is the one in memory, if it is that.
    pub(crate) async fn on_any(
        bus: MemoryBus,
        of_the_worker: Arc<dyn Bus>,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let database = testing::postgres_database(&MIGRATOR, SCHEMA).await;
        let tokens = TempDir::new().expect("a directory");
        let mut config =
            Config { postgres: testing::postgres_config(&database.url), ..Config::default() };
        config.broker.topics = Provisioning::Create;
        config.api.listen = "127.0.0.1:0".to_owned();
        config.admin.listen = "127.0.0.1:0".to_owned();
        config.auth.tokens_file = Some(tokens.path().join("tokens.toml"));
        config.dlq.groups = vec![GROUP.to_owned(), OTHER_GROUP.to_owned()];
        config.dlq.watch_interval_ms = 10;
        change(&mut config);
        std::fs::write(tokens.path().join("tokens.toml"), token_file()).expect("written");
        let life = Life::new(PROGRAM);
        let running =
            Running::start(&config, life.clone(), of_the_worker).await.expect("it starts");
        // An error means that another test was first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let store = Store::new(database.pool.clone(), Duration::from_secs(10));
        let client = reqwest::Client::new();
        Self { bus, store, life, database, running, client, _tokens: tokens }
    }

    /// Ends the worker as a signal would.
    pub(crate) async fn end(self) {
        self.life.tasks.stop.cancel();
        timeout(WAIT_MAX, self.running.drain()).await.expect("in time").expect("in order");
    }

    pub(crate) async fn publish(&self, message: OutgoingMessage) {
        let answers = self.bus.publish(vec![message]).await;
        assert_eq!(answers, [Ok(())]);
    }

    /// Waits until the archive holds `count` dead letters; answers them, the oldest first.
    pub(crate) async fn archived(&self, count: usize) -> Vec<Summary> {
        self.until(|letters| letters.len() >= count).await
    }

    /// Waits for a state of the archive; answers all dead letters, the oldest first.
    pub(crate) async fn until(&self, condition: impl Fn(&[Summary]) -> bool) -> Vec<Summary> {
        let started = Instant::now();
        loop {
            let filter = Filter { limit: 1_000, ..Filter::default() };
            let mut letters = self.store.list(&filter).await.expect("the archive answers");
            letters.reverse();
            if condition(&letters) {
                return letters;
            }
            assert!(started.elapsed() < WAIT_MAX, "the archive holds {letters:#?}");
            sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn full(&self, letter: &Summary) -> Full {
        self.store.find(letter.id).await.expect("the archive answers").expect("it is there")
    }

    /// Waits until everything that was published to the dead-letter queues is archived.
    pub(crate) async fn drained(&self) {
        let started = Instant::now();
        for group in [GROUP, OTHER_GROUP] {
            let topic = common::bus::dead_letter_topic(group);
            while self.bus.lag(&format!("dlq-{group}"), &topic).await != Ok(0) {
                assert!(started.elapsed() < WAIT_MAX, "dead letters of {group} are left");
                sleep(Duration::from_millis(5)).await;
            }
        }
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.call(Method::GET, path, Some(OPERATOR), None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        self.call(Method::POST, path, Some(OPERATOR), body).await
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let api = self.running.ports().api_address().expect("there is an API");
        let mut request = self.client.request(method, format!("http://{api}{path}"));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.expect("an answer");
        let status = response.status();
        (status, response.json().await.expect("JSON"))
    }

    /// Replays a dead letter; answers the replay's id.
    pub(crate) async fn replay(&self, letter: &Summary) -> String {
        let (status, body) =
            self.post(&format!("/v1/dead-letters/{}/replay", letter.id), None).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{body}");
        body["replayId"].as_str().expect("an id").to_owned()
    }

    /// A consumer group's own client, subscribed to the topic.
    pub(crate) async fn consumer(&self, group: &str) -> common::bus::Consumer {
        let subscription = Subscription {
            topic: TOPIC.into(),
            group: group.into(),
            tags: Vec::new(),
            batch_max: 1,
            in_flight_max: 1,
        };
        self.bus.subscribe(subscription).await.expect("subscribed")
    }
}

/// The next message of a consumer.
pub(crate) async fn next(consumer: &common::bus::Consumer) -> common::bus::IncomingMessage {
    let delivery = timeout(WAIT_MAX, consumer.next()).await.expect("in time").expect("open");
    let (mut messages, ack) = delivery.into_parts();
    ack.ack();
    messages.pop().expect("one message")
}

fn token_file() -> String {
    let (operator, reader) = (auth::hash_of(OPERATOR), auth::hash_of(READER));
    format!(
        "[[token]]\nname = \"operator\"\nsha256 = \"{operator}\"\n\
         scopes = [\"dlq:read\", \"dlq:write\"]\n\
         [[token]]\nname = \"reader\"\nsha256 = \"{reader}\"\nscopes = [\"dlq:read\"]\n"
    )
}

/// An order fact with its envelope, as a worker gives it up for `group`.
pub(crate) fn dead(group: &str, order_no: &str) -> OutgoingMessage {
    let mut properties = envelope(order_no).to_properties();
    properties.remove(names::KEYS);
    properties.insert(names::ATTEMPT.to_owned(), "1".to_owned());
    properties.insert(names::ERROR.to_owned(), "1: no such ticket type".to_owned());
    properties.insert(names::WORKER.to_owned(), "stock-worker/0.1.0".to_owned());
    let body = format!(r#"{{"orderNo":"{order_no}","eventType":"CREATED"}}"#);
    message(group, order_no, body, properties)
}

pub(crate) fn message(
    group: &str,
    key: &str,
    body: impl Into<Bytes>,
    properties: BTreeMap<String, String>,
) -> OutgoingMessage {
    OutgoingMessage {
        destination: Destination::Dead { group: group.into(), topic: TOPIC.into() },
        tag: "ORDER_CREATED".into(),
        key: key.into(),
        body: body.into(),
        properties,
        delay: None,
    }
}

pub(crate) fn envelope(order_no: &str) -> Envelope {
    Envelope {
        key: order_no.to_owned(),
        event_id: ids::event_id(),
        schema_version: contracts::WRITE_VERSION,
        aggregate_version: 1,
        occurred_at: common::clock::now(),
        producer: "order-worker/0.1.0".to_owned(),
        causation_id: None,
        traceparent: None,
    }
}

pub(crate) fn event_id(message: &OutgoingMessage) -> String {
    message.properties[names::EVENT_ID].clone()
}
