use serde::{Deserialize, Serialize};

use super::check::{at_least, ordered_backoff, within};
use crate::config::Validate;

/// How messages are gathered, decided and retried.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PipelineConfig {
    /// A batch of so many messages is full; the last delivery may bring up to as many more.
    pub batch_max: usize,
    /// Batches of one subscription in hand at once.
    pub in_flight_max: usize,
    /// How long a batch waits for more at most; not at all when little comes.
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
    /// States of orders, or of holds, that are remembered so that the next message about them
    /// need not look them up.
    pub recent_max: usize,
}

/// Deliveries that one batch is gathered from at most.
const DELIVERIES_OF_A_BATCH: usize = 16;

impl PipelineConfig {
    /// How many deliveries may be unacknowledged at once, so that each batch in hand can be
    /// gathered from several.
    pub fn deliveries_max(&self) -> usize {
        self.in_flight_max * DELIVERIES_OF_A_BATCH
    }

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
            batch_max: 1_024,
            in_flight_max: 2,
            gather_us: 200_000,
            attempts_max: 8,
            retry_delays_ms: vec![1_000, 5_000, 10_000, 30_000, 60_000, 300_000, 1_800_000],
            backoff_min_ms: 100,
            backoff_max_ms: 5_000,
            queue_max: 10_000,
            recent_max: 10_000,
        }
    }
}

impl Validate for PipelineConfig {
    fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        within(&mut problems, "batch_max", self.batch_max, 1, 4_096);
        within(&mut problems, "in_flight_max", self.in_flight_max, 1, 64);
        within(&mut problems, "gather_us", self.gather_us, 0, 1_000_000);
        within(&mut problems, "attempts_max", self.attempts_max, 1, 100);
        at_least(&mut problems, "queue_max", self.queue_max, 1);
        within(&mut problems, "recent_max", self.recent_max, 1, 1_000_000);
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
    /// The version of the contracts that events are written in: raised to a release's newest one
    /// once no older release runs.
    pub write_version: u32,
    /// Events that wait in memory at most; what does not fit is the sweeper's.
    pub relay_queue_max: usize,
    /// Tasks that publish.
    pub publishers: usize,
    pub publish_batch_max: usize,
    /// How long published rows wait to be marked together, at most a quarter of the lease. After a
    /// crash, what waited is published again.
    pub mark_interval_ms: u64,
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
            write_version: contracts::WRITE_VERSION,
            relay_queue_max: 20_000,
            publishers: 2,
            publish_batch_max: 1_024,
            mark_interval_ms: 100,
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
        let newest = contracts::newest_read_version();
        within(&mut problems, "write_version", self.write_version, 1, newest);
        at_least(&mut problems, "relay_queue_max", self.relay_queue_max, 1);
        within(&mut problems, "publishers", self.publishers, 1, 64);
        within(&mut problems, "publish_batch_max", self.publish_batch_max, 1, 1_024);
        within(&mut problems, "mark_interval_ms", self.mark_interval_ms, 0, 60_000);
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
