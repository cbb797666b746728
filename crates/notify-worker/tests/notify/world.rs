//! A running worker, and what tests ask of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::auth;
use common::bus::memory::{MemoryBus, MemoryOptions};
use common::bus::{Destination, OutgoingMessage, Publisher as _};
use common::life::{Failure, Life};
use common::testing::{self, TestDatabase};
use contracts::{Channel, Envelope};
use notify_worker::store::{MIGRATOR, SCHEMA};
use notify_worker::worker::{self, Channels};
use notify_worker::{Config, PROGRAM, channels};
use serde_json::Value;
use sqlx::PgPool;
use tokio::task::JoinHandle;

use crate::fake::FakeChannel;

/// How long anything may take before a test has failed.
const WAIT_MAX: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Accepted by every world's API, with the scopes that its name says.
pub(crate) const WRITE_TOKEN: &str = "write-token";
pub(crate) const READ_TOKEN: &str = "read-token";

/// A worker that runs, with a fake behind each channel unless told otherwise.
pub(crate) struct World {
    pub(crate) bus: MemoryBus,
    pub(crate) fake: Arc<FakeChannel>,
    pub(crate) life: Life,
    pub(crate) api: SocketAddr,
    pub(crate) database: TestDatabase,
    running: JoinHandle<Result<(), Failure>>,
    _folder: tempfile::TempDir,
}

/// What a notification's row says.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Row {
    pub(crate) status: String,
    pub(crate) version: i64,
    pub(crate) attempt: i32,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) last_error: Option<String>,
    pub(crate) is_sent: bool,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(MemoryOptions::default(), |_| {}).await
    }

    pub(crate) async fn with(options: MemoryOptions, configure: impl FnOnce(&mut Config)) -> Self {
        let database = testing::postgres_database(&MIGRATOR, SCHEMA).await;
        let fake = Arc::new(FakeChannel::default());
        let channels = Channels { sms: fake.clone(), email: fake.clone(), push: fake.clone() };
        Self::on(database, MemoryBus::new(options), fake, channels, configure).await
    }

    /// With the mail server of `configure`'s section `smtp` for e-mail.
    pub(crate) async fn with_smtp(configure: impl FnOnce(&mut Config)) -> Self {
        let database = testing::postgres_database(&MIGRATOR, SCHEMA).await;
        let mut config = Config::default();
        configure(&mut config);
        let smtp = channels::SmtpChannel::new(&config.smtp).expect("a sound section");
        let fake = Arc::new(FakeChannel::default());
        let channels = Channels { sms: fake.clone(), email: Arc::new(smtp), push: fake.clone() };
        Self::on(database, MemoryBus::default(), fake, channels, |_| {}).await
    }

    /// A second worker on the database and the broker of one that has ended.
    pub(crate) async fn again(self) -> Self {
        let bus = self.bus.client();
        let database = self.end().await;
        let fake = Arc::new(FakeChannel::default());
        let channels = Channels { sms: fake.clone(), email: fake.clone(), push: fake.clone() };
        Self::on(database, bus, fake, channels, |_| {}).await
    }

    async fn on(
        database: TestDatabase,
        bus: MemoryBus,
        fake: Arc<FakeChannel>,
        channels: Channels,
        configure: impl FnOnce(&mut Config),
    ) -> Self {
        // With `RUST_LOG`, a test that fails shows what the worker has said.
        let _ = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_test_writer()
            .try_init();
        let folder = tempfile::tempdir().expect("a folder");
        let tokens_file = folder.path().join("tokens.toml");
        let entry = |name: &str, token: &str, scope: &str| {
            let hash = auth::hash_of(token);
            format!("[[token]]\nname = {name:?}\nsha256 = {hash:?}\nscopes = [{scope:?}]\n")
        };
        let tokens = entry("writer", WRITE_TOKEN, "notify:write")
            + &entry("reader", READ_TOKEN, "notify:read");
        std::fs::write(&tokens_file, tokens).expect("written");

        let postgres = testing::postgres_config(&database.url);
        let mut config = Config { postgres, ..Config::default() };
        config.auth.tokens_file = Some(tokens_file);
        config.api.listen = "127.0.0.1:0".to_owned();
        config.admin.listen = "127.0.0.1:0".to_owned();
        let port_file = folder.path().join("ports.json");
        config.admin.port_file = Some(port_file.clone());
        config.broker.topics = common::config::Provisioning::Create;
        config.delivery.sweep_interval_ms = 10;
        config.delivery.retry_delays_ms = vec![10];
        config.delivery.backoff_min_ms = 5;
        config.delivery.backoff_max_ms = 20;
        config.templates.refresh_ms = 10;
        configure(&mut config);

        let life = Life::new(PROGRAM);
        let run = worker::run_on(config, life.clone(), Arc::new(bus.client()), channels);
        let running = tokio::spawn(Box::pin(run));
        wait("the ports", async || port_file.exists().then_some(())).await;
        wait("readiness", async || life.readiness.is_ready().then_some(())).await;
        let ports = std::fs::read(&port_file).expect("the port file");
        let ports: BTreeMap<String, SocketAddr> =
            serde_json::from_slice(&ports).expect("addresses");
        Self { bus, fake, life, api: ports["api"], database, running, _folder: folder }
    }

    /// Asks the worker to end, and expects that it does so in order.
    pub(crate) async fn end(self) -> TestDatabase {
        self.life.tasks.stop.cancel();
        let done = tokio::time::timeout(WAIT_MAX, self.running).await.expect("ended in time");
        done.expect("no panic").expect("an orderly end");
        self.database
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.database.pool
    }

    /// Publishes all at once, so that they come in one batch.
    pub(crate) async fn publish(&self, messages: Vec<OutgoingMessage>) {
        for answer in self.bus.publish(messages).await {
            answer.expect("published");
        }
    }

    pub(crate) async fn row(&self, id: &str) -> Option<Row> {
        sqlx::query_as(
            "SELECT status, version, attempt, body, last_error, sent_at IS NOT NULL AS is_sent \
             FROM notify.notifications WHERE notification_id = $1",
        )
        .bind(id)
        .fetch_optional(self.pool())
        .await
        .expect("the row can be read")
    }

    pub(crate) async fn status(&self, id: &str, status: &str) -> Row {
        let what = format!("{id} to be {status}");
        wait(&what, async || self.row(id).await.filter(|row| row.status == status)).await
    }

    pub(crate) async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(self.pool()).await.expect("counted")
    }

    /// Waits until `count` event ids are in the inbox.
    pub(crate) async fn taken(&self, count: i64) {
        wait("the inbox", async || {
            let found = self.count("SELECT count(*) FROM notify.inbox").await;
            (found >= count).then_some(())
        })
        .await;
    }

    /// Waits until `count` dead letters were published, and answers them.
    pub(crate) async fn dead_letters(&self, count: usize) -> Vec<OutgoingMessage> {
        wait("dead letters", async || {
            let is_dead = |m: &OutgoingMessage| matches!(m.destination, Destination::Dead { .. });
            let dead: Vec<_> = self.bus.published().into_iter().filter(is_dead).collect();
            (dead.len() >= count).then_some(dead)
        })
        .await
    }
}

/// Asks again and again until there is an answer.
///
/// # Panics
/// When there is none in time.
pub(crate) async fn wait<T>(what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    let answer = tokio::time::timeout(WAIT_MAX, asking).await;
    answer.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// A notification of ours for user 7, about order A1.
pub(crate) fn ours(id: &str, channel: Channel) -> Value {
    serde_json::json!({
        "notificationId": id,
        "orderNo": "A1",
        "userId": 7,
        "channel": channel.as_str(),
        "template": "order.confirmed",
    })
}

/// The message as our order-worker publishes it, with an event id of its own.
pub(crate) fn event(channel: Channel, body: &Value) -> OutgoingMessage {
    let envelope = Envelope {
        key: "A1".to_owned(),
        event_id: common::ids::event_id(),
        schema_version: 1,
        aggregate_version: 1,
        occurred_at: common::clock::now(),
        producer: "test/1".to_owned(),
        causation_id: None,
        traceparent: None,
    };
    OutgoingMessage { properties: envelope.to_properties(), ..bare(channel, &body.to_string()) }
}

/// The message as a Java service publishes it: without an envelope.
pub(crate) fn bare(channel: Channel, body: &str) -> OutgoingMessage {
    OutgoingMessage {
        destination: Destination::Topic("NOTIFICATION_TOPIC".into()),
        tag: channel.tag().as_str().into(),
        key: "".into(),
        body: Bytes::from(body.to_owned()),
        properties: BTreeMap::new(),
        delay: None,
    }
}
