//! A private stack with a show on sale, and ways to talk to it.

use std::sync::Arc;
use std::time::Duration;

use bus_rocketmq::{RocketBus, RocketConfig};
use common::bus::{Bus as _, OutgoingMessage, Publisher as _};
use common::metric;
use contracts::SessionId;
use devstack::workers::{Kind, Workers};
use devstack::{Console, Options, Stack, command};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::process::Command;
use tokio::time::Instant;

use crate::orders::Orders;

pub(crate) const SESSION: SessionId = SessionId(1);
/// There are plenty of these.
pub(crate) const FLOOR: i64 = 11;
/// There are two of these.
pub(crate) const BOX: i64 = 13;
/// Tickets that one person may have.
pub(crate) const USER_LIMIT: i64 = 4;
const LOG: &str = "warn,bus_rocketmq=debug";
const SHOW: &str = "tests/tests/system/show.toml";
/// Longer than order-worker's own limit.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

pub(crate) struct Stage {
    pub(crate) stack: Stack,
    pub(crate) bus: Arc<RocketBus>,
    pub(crate) orders: Orders,
    pub(crate) http: reqwest::Client,
    pub(crate) database: PgPool,
    console: Console,
    started: Instant,
}

impl Stage {
    /// Once this returns, the show can be bought.
    pub(crate) async fn start() -> Self {
        Self::start_with(SHOW, Options::default()).await
    }

    /// The same with another show (a path from the root), whose session [`SESSION`] has [`FLOOR`].
    pub(crate) async fn start_with(show: &str, options: Options) -> Self {
        let started = Instant::now();
        // What the test's own consumers say is shown when it fails. Another test of this process may
        // have done so, too.
        let _ = tracing_subscriber::fmt().with_env_filter(LOG).with_test_writer().try_init();
        // Another test of this process may have done so.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let stack = Box::pin(Stack::start(options)).await;
        let stack = stack.unwrap_or_else(|error| panic!("the stack does not start: {error}"));
        let config = RocketConfig {
            name_server: stack.servers.name_server.clone(),
            ..RocketConfig::default()
        };
        let bus = RocketBus::connect(config).await.expect("the configuration is sound");
        let http = reqwest::Client::builder().timeout(REQUEST_TIMEOUT).build().expect("a client");
        let orders = Orders::new(http.clone(), &stack);
        let database = PgPoolOptions::new()
            .connect_lazy(&stack.servers.postgres_url)
            .expect("the address is sound");
        let console = Console::stderr();
        let stage = Self { stack, bus: Arc::new(bus), orders, http, database, console, started };
        let show = tests::root().join(show);
        stage.operator(&["show", "load", &show.to_string_lossy(), "--open"]).await;
        // It names its sale only when it knows one.
        stage.until_ready().await;
        stage
    }

    pub(crate) fn workers(&self) -> &Workers {
        self.stack.workers.as_ref().expect("all parts were started")
    }

    /// Says how far the test is.
    pub(crate) fn step(&self, what: &str) {
        self.console.line(format!("{:>6.1} s  {what}", self.started.elapsed().as_secs_f64()));
    }

    /// Runs `boxoffice`; answers what it printed.
    ///
    /// # Panics
    /// When it does not end with 0.
    pub(crate) async fn operator(&self, arguments: &[&str]) -> String {
        let answer = self.try_operator(arguments).await;
        answer.unwrap_or_else(|error| panic!("{arguments:?}: {error}"))
    }

    /// Runs `boxoffice`, which may ask a worker that is dead.
    pub(crate) async fn try_operator(&self, arguments: &[&str]) -> Result<String, devstack::Error> {
        let mut boxoffice = Command::new(self.stack.paths.binary("boxoffice"));
        boxoffice.args(arguments).envs(self.stack.operator_environment());
        command::output("boxoffice", &mut boxoffice).await
    }

    /// Publishes all at once: the messages of one topic are one batch, in this order.
    pub(crate) async fn publish(&self, messages: Vec<OutgoingMessage>) {
        for answer in self.bus.publish(messages).await {
            answer.expect("the broker takes it");
        }
    }

    /// How many attempts at a message have failed, in all workers.
    pub(crate) async fn attempts_failed(&self) -> f64 {
        let mut sum = 0.0;
        for kind in Kind::ALL {
            sum += self.count(kind, metric::MESSAGES_RETRIED).await;
            sum += self.count(kind, metric::MESSAGES_DEAD).await;
        }
        sum
    }

    /// What a worker's counter has come to since it started.
    pub(crate) async fn count(&self, kind: Kind, metric: &str) -> f64 {
        self.count_at(&self.workers().get(kind).admin, metric).await
    }

    /// The same of any member, by its admin address.
    pub(crate) async fn count_at(&self, admin: &str, metric: &str) -> f64 {
        let url = format!("{admin}/metrics");
        let answer = self.http.get(url).send().await.expect("an admin port answers");
        counted(&answer.text().await.expect("metrics are text"), metric)
    }

    /// # Panics
    /// When a process other than `but_for` has ended.
    pub(crate) fn assert_alive(&self, but_for: &str) {
        let ended = self.stack.processes().into_iter().filter(|process| process.name() != but_for);
        for process in ended {
            let exit = process.exit();
            assert!(exit.is_none(), "{} ended: {exit:?}", process.name());
        }
    }

    pub(crate) async fn end(self) {
        self.bus.close().await;
        self.database.close().await;
        self.stack.stop().await;
    }
}

/// The sum of a counter over its labels, in Prometheus's text.
fn counted(text: &str, name: &str) -> f64 {
    let lines = text.lines().filter_map(|line| line.strip_prefix(name)?.rsplit_once(' '));
    lines.map(|(_, value)| value.parse::<f64>().expect("a counter is a number")).sum()
}
