//! The sections that workers have in common.

use std::fmt::Display;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{PostgresUrl, RedisUrl, Secret, Validate};

/// Every time limit of the database stays under this, so that no batch hangs for long.
const STATEMENT_LIMIT_MAX_MS: u64 = 10_000;

/// The database.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PostgresConfig {
    pub url: PostgresUrl,
    /// Connections at most; small pools are faster.
    pub pool_max: u32,
    pub acquire_timeout_ms: u64,
    pub statement_timeout_ms: u64,
    pub lock_timeout_ms: u64,
    pub idle_in_transaction_timeout_ms: u64,
}

impl Default for PostgresConfig {
    fn default() -> Self {
        Self {
            url: PostgresUrl::default(),
            pool_max: 8,
            acquire_timeout_ms: 2_000,
            statement_timeout_ms: 5_000,
            lock_timeout_ms: 3_000,
            idle_in_transaction_timeout_ms: 5_000,
        }
    }
}

impl Validate for PostgresConfig {
    fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        at_least(&mut problems, "pool_max", self.pool_max, 1);
        let limits = [
            ("acquire_timeout_ms", self.acquire_timeout_ms),
            ("statement_timeout_ms", self.statement_timeout_ms),
            ("lock_timeout_ms", self.lock_timeout_ms),
            ("idle_in_transaction_timeout_ms", self.idle_in_transaction_timeout_ms),
        ];
        for (key, value) in limits {
            within(&mut problems, key, value, 1, STATEMENT_LIMIT_MAX_MS);
        }
        if self.lock_timeout_ms > self.statement_timeout_ms {
            problems.push(format!(
                "lock_timeout_ms: {} is longer than statement_timeout_ms ({}), so it never applies",
                self.lock_timeout_ms, self.statement_timeout_ms
            ));
        }
        problems
    }
}

/// The fast gate.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RedisConfig {
    pub url: RedisUrl,
    /// After this a call's outcome is unknown.
    pub response_timeout_ms: u64,
    pub connect_timeout_ms: u64,
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self { url: RedisUrl::default(), response_timeout_ms: 500, connect_timeout_ms: 1_000 }
    }
}

impl Validate for RedisConfig {
    fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        within(&mut problems, "response_timeout_ms", self.response_timeout_ms, 1, 10_000);
        within(&mut problems, "connect_timeout_ms", self.connect_timeout_ms, 1, 10_000);
        problems
    }
}

/// What to do about topics and groups at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provisioning {
    /// Create what is missing.
    Create,
    /// Name what is missing and how to create it; change nothing.
    Verify,
}

/// RocketMQ.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BrokerConfig {
    /// `host:port`, several separated by `;`.
    pub name_server: String,
    /// Empty: the worker's name.
    pub producer_group: String,
    /// Empty for none.
    pub namespace: String,
    pub access_key: Option<Secret>,
    pub secret_key: Option<Secret>,
    pub topics: Provisioning,
    /// Queues of a topic that is created; more members of a group than queues sit idle.
    pub queues: u32,
    pub order_topic: String,
    pub stock_topic: String,
    pub notification_topic: String,
    pub send_timeout_ms: u64,
    /// Messages in one pull at most; the broker's own limit must be as high.
    pub pull_batch_max: u32,
    /// How long the broker parks a pull that finds nothing.
    pub pull_suspend_ms: u64,
    pub pull_timeout_ms: u64,
    /// How often the broker itself redelivers what a crash left behind.
    pub broker_attempts_max: u32,
    pub backoff_min_ms: u64,
    pub backoff_max_ms: u64,
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self {
            name_server: "127.0.0.1:9876".to_owned(),
            producer_group: String::new(),
            namespace: String::new(),
            access_key: None,
            secret_key: None,
            topics: Provisioning::Verify,
            queues: 16,
            order_topic: "ORDER_TOPIC".to_owned(),
            stock_topic: "STOCK_TOPIC".to_owned(),
            notification_topic: "NOTIFICATION_TOPIC".to_owned(),
            send_timeout_ms: 3_000,
            pull_batch_max: 256,
            pull_suspend_ms: 1_000,
            pull_timeout_ms: 5_000,
            broker_attempts_max: 16,
            backoff_min_ms: 100,
            backoff_max_ms: 5_000,
        }
    }
}

impl Validate for BrokerConfig {
    fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for server in self.name_server.split(';') {
            let port = server.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
            if port.is_none() {
                problems.push(format!("name_server: {server:?} is not host:port"));
            }
        }
        let topics = [
            ("order_topic", &self.order_topic),
            ("stock_topic", &self.stock_topic),
            ("notification_topic", &self.notification_topic),
        ];
        for (key, topic) in topics {
            if topic.is_empty() {
                problems.push(format!("{key}: must not be empty"));
            }
        }
        if self.access_key.is_some() != self.secret_key.is_some() {
            problems.push("access_key: is of no use without secret_key, and the reverse".into());
        }
        within(&mut problems, "queues", self.queues, 1, 1_024);
        within(&mut problems, "send_timeout_ms", self.send_timeout_ms, 1, 60_000);
        within(&mut problems, "pull_batch_max", self.pull_batch_max, 1, 1_024);
        within(&mut problems, "broker_attempts_max", self.broker_attempts_max, 1, 1_000);
        if self.pull_suspend_ms >= self.pull_timeout_ms {
            problems.push(format!(
                "pull_suspend_ms: {} must be shorter than pull_timeout_ms ({})",
                self.pull_suspend_ms, self.pull_timeout_ms
            ));
        }
        ordered_backoff(&mut problems, self.backoff_min_ms, self.backoff_max_ms);
        problems
    }
}

/// How messages are gathered, decided and retried.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PipelineConfig {
    /// Messages in one batch at most.
    pub batch_max: usize,
    /// Batches of one subscription in hand at once.
    pub in_flight_max: usize,
    /// How long a batch waits for more while others are in hand; never when idle.
    pub gather_us: u64,
    /// Attempts at one message before it is dead.
    pub attempts_max: u32,
    /// The delay before the second attempt, the third, …; the last one repeats.
    pub retry_delays_ms: Vec<u64>,
    /// Pause of a subscription whose dependency is away: the first and the longest.
    pub backoff_min_ms: u64,
    pub backoff_max_ms: u64,
    /// In-process messages (HTTP calls, deadlines) that wait at most.
    pub queue_max: usize,
}

impl PipelineConfig {
    /// How long after the first attempt the last one may come.
    pub fn longest_redelivery_ms(&self) -> u64 {
        let last = self.retry_delays_ms.last().copied().unwrap_or_default();
        let delays = self.retry_delays_ms.iter().copied().chain(std::iter::repeat(last));
        delays.take(self.attempts_max.saturating_sub(1) as usize).sum()
    }
}

impl Default for PipelineConfig {
    fn default() -> Self {
        Self {
            batch_max: 256,
            in_flight_max: 4,
            gather_us: 1_000,
            attempts_max: 8,
            retry_delays_ms: vec![1_000, 5_000, 10_000, 30_000, 60_000, 300_000, 1_800_000],
            backoff_min_ms: 100,
            backoff_max_ms: 5_000,
            queue_max: 10_000,
        }
    }
}

impl Validate for PipelineConfig {
    fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        within(&mut problems, "batch_max", self.batch_max, 1, 1_024);
        within(&mut problems, "in_flight_max", self.in_flight_max, 1, 64);
        within(&mut problems, "gather_us", self.gather_us, 0, 100_000);
        within(&mut problems, "attempts_max", self.attempts_max, 1, 100);
        at_least(&mut problems, "queue_max", self.queue_max, 1);
        if self.retry_delays_ms.is_empty() && self.attempts_max > 1 {
            problems.push("retry_delays_ms: must name a delay when attempts_max > 1".to_owned());
        }
        ordered_backoff(&mut problems, self.backoff_min_ms, self.backoff_max_ms);
        problems
    }
}

/// Events on their way out.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OutboxConfig {
    /// Events that wait in memory at most; what does not fit is the sweeper's.
    pub relay_queue_max: usize,
    /// Tasks that publish.
    pub publishers: usize,
    pub publish_batch_max: usize,
    /// How long a row belongs to whoever wrote it, before the sweeper may take it.
    pub lease_ms: u64,
    pub sweep_interval_ms: u64,
    pub sweep_batch_max: i64,
    /// Published rows are kept this long: they are the order's history.
    pub retention_hours: i64,
    pub backoff_min_ms: u64,
    pub backoff_max_ms: u64,
}

impl Default for OutboxConfig {
    fn default() -> Self {
        Self {
            relay_queue_max: 20_000,
            publishers: 2,
            publish_batch_max: 256,
            lease_ms: 10_000,
            sweep_interval_ms: 1_000,
            sweep_batch_max: 500,
            retention_hours: 24 * 7,
            backoff_min_ms: 50,
            backoff_max_ms: 2_000,
        }
    }
}

impl Validate for OutboxConfig {
    fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        at_least(&mut problems, "relay_queue_max", self.relay_queue_max, 1);
        within(&mut problems, "publishers", self.publishers, 1, 64);
        within(&mut problems, "publish_batch_max", self.publish_batch_max, 1, 1_024);
        within(&mut problems, "lease_ms", self.lease_ms, 100, 3_600_000);
        within(&mut problems, "sweep_interval_ms", self.sweep_interval_ms, 10, 3_600_000);
        within(&mut problems, "sweep_batch_max", self.sweep_batch_max, 1, 10_000);
        within(&mut problems, "retention_hours", self.retention_hours, 1, 24 * 365 * 10);
        if self.backoff_max_ms >= self.lease_ms {
            problems.push(format!(
                "backoff_max_ms: {} must be shorter than lease_ms ({})",
                self.backoff_max_ms, self.lease_ms
            ));
        }
        ordered_backoff(&mut problems, self.backoff_min_ms, self.backoff_max_ms);
        problems
    }
}

/// Which events were taken already.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InboxConfig {
    /// Longer than any redelivery or replay, or an event could take effect twice.
    pub retention_hours: i64,
    /// The oldest dead letter that may still be replayed.
    pub replay_max_age_hours: i64,
}

impl InboxConfig {
    /// Whether the inbox outlives what `pipeline` may redeliver; a problem's line if not.
    pub fn outlives(&self, pipeline: &PipelineConfig) -> Option<String> {
        let longest_hours = pipeline.longest_redelivery_ms().div_ceil(3_600_000);
        (self.retention_hours.unsigned_abs() <= longest_hours).then(|| {
            format!(
                "inbox.retention_hours: {} is not longer than the longest redelivery \
                 (pipeline.retry_delays_ms and attempts_max: {longest_hours} h)",
                self.retention_hours
            )
        })
    }
}

impl Default for InboxConfig {
    fn default() -> Self {
        Self { retention_hours: 24 * 14, replay_max_age_hours: 24 * 7 }
    }
}

impl Validate for InboxConfig {
    fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        within(&mut problems, "retention_hours", self.retention_hours, 1, 24 * 365);
        at_least(&mut problems, "replay_max_age_hours", self.replay_max_age_hours, 1);
        if self.retention_hours <= self.replay_max_age_hours {
            problems.push(format!(
                "retention_hours: {} is not longer than replay_max_age_hours ({}): a replay could \
                 take effect twice",
                self.retention_hours, self.replay_max_age_hours
            ));
        }
        problems
    }
}

/// The admin port.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdminConfig {
    /// `address:port`; port 0 takes any free one.
    pub listen: String,
    /// Where the bound addresses are written, for a supervisor.
    pub port_file: Option<PathBuf>,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self { listen: "0.0.0.0:9090".to_owned(), port_file: None }
    }
}

impl Validate for AdminConfig {
    fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        socket_address(&mut problems, "listen", &self.listen);
        problems
    }
}

/// The API's port.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiConfig {
    /// `address:port`; port 0 takes any free one.
    pub listen: String,
    pub body_max_bytes: usize,
    /// A request that takes longer is answered 503.
    pub request_timeout_ms: u64,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            listen: "0.0.0.0:8080".to_owned(),
            body_max_bytes: 64 * 1024,
            request_timeout_ms: 10_000,
        }
    }
}

impl Validate for ApiConfig {
    fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        socket_address(&mut problems, "listen", &self.listen);
        within(&mut problems, "body_max_bytes", self.body_max_bytes, 1_024, 16 * 1024 * 1024);
        within(&mut problems, "request_timeout_ms", self.request_timeout_ms, 10, 600_000);
        problems
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

/// Logs, on standard error.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// As `RUST_LOG`: `info,order_worker=debug`.
    pub filter: String,
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Text }
    }
}

impl Validate for LogConfig {
    fn validate(&self) -> Vec<String> {
        match tracing_subscriber::EnvFilter::try_new(&self.filter) {
            Ok(_) => Vec::new(),
            Err(error) => vec![format!("filter: {:?}: {error}", self.filter)],
        }
    }
}

/// Who may call what.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthConfig {
    /// Hashes of tokens with their scopes; without a file every guarded call is refused.
    pub tokens_file: Option<PathBuf>,
}

impl Validate for AuthConfig {
    fn validate(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The end of the process.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DrainConfig {
    /// Shorter than the grace period of Kubernetes (30 s by default).
    pub drain_timeout_ms: u64,
}

impl Default for DrainConfig {
    fn default() -> Self {
        Self { drain_timeout_ms: 20_000 }
    }
}

impl Validate for DrainConfig {
    fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        within(&mut problems, "drain_timeout_ms", self.drain_timeout_ms, 100, 600_000);
        problems
    }
}

fn at_least<T: PartialOrd + Display>(problems: &mut Vec<String>, key: &str, value: T, min: T) {
    if value < min {
        problems.push(format!("{key}: must be at least {min}, not {value}"));
    }
}

fn within<T: PartialOrd + Display>(
    problems: &mut Vec<String>,
    key: &str,
    value: T,
    min: T,
    max: T,
) {
    if value < min || value > max {
        problems.push(format!("{key}: must be from {min} to {max}, not {value}"));
    }
}

fn ordered_backoff(problems: &mut Vec<String>, min_ms: u64, max_ms: u64) {
    at_least(problems, "backoff_min_ms", min_ms, 1);
    if min_ms > max_ms {
        problems.push(format!("backoff_min_ms: {min_ms} is longer than backoff_max_ms ({max_ms})"));
    }
}

fn socket_address(problems: &mut Vec<String>, key: &str, listen: &str) {
    if let Err(error) = listen.parse::<std::net::SocketAddr>() {
        problems.push(format!("{key}: {listen:?} is not address:port: {error}"));
    }
}
