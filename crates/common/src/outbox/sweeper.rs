//! Publishes what a crash or a full relay left behind, and purges what is old.

use std::collections::HashSet;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::{NoContext, Timestamp, Uuid};

use super::{Batch, Claimed, Outbox, Relay};
use crate::config::{InboxConfig, OutboxConfig};
use crate::crash::{self, Boundary};
use crate::inbox::Inbox;
use crate::postgres::Pool;
use crate::{backoff, clock, metric};

/// How many purge batches run between two sweeps at most.
const PURGE_BATCHES_MAX: u32 = 4;

/// How long nobody looks for what is old, once all that was old is gone.
const PURGE_INTERVAL: Duration = Duration::from_secs(60);

/// Its name among the points where a process can die.
const PLACE: &str = "outbox-sweeper";

/// What one worker's sweeper works on.
pub struct Sweeper {
    pub pool: Pool,
    pub outbox: Outbox,
    pub inbox: Inbox,
    pub relay: Relay,
    pub outbox_config: OutboxConfig,
    pub inbox_config: InboxConfig,
}

impl Sweeper {
    /// Sweeps every `sweep_interval_ms` (with jitter) until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let interval = Duration::from_millis(self.outbox_config.sweep_interval_ms);
        let mut purged_at: Option<Instant> = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(backoff::jitter(interval)) => {}
            }
            if let Err(error) = self.sweep().await {
                tracing::debug!(error = %error, "the outbox was not swept");
            }
            if purged_at.is_some_and(|at| at.elapsed() < PURGE_INTERVAL) {
                continue;
            }
            match self.purge().await {
                Ok(true) => purged_at = Some(Instant::now()),
                Ok(false) => {}
                Err(error) => {
                    tracing::debug!(error = %error, "the outbox and inbox were not purged");
                }
            }
        }
    }

    /// Claims and hands over until nothing is due.
    async fn sweep(&self) -> Result<(), sqlx::Error> {
        let limit = self.outbox_config.sweep_batch_max;
        loop {
            let claimed_at = Instant::now();
            let claimed = self.outbox.claim(&self.pool, limit, self.relay.lease()).await?;
            let count = claimed.rows.len();
            if count > 0 {
                metrics::counter!(metric::OUTBOX_SWEPT).increment(count as u64);
                crash::at(Boundary::Found, PLACE);
            }
            let refused = refused(&claimed);
            self.relay.take(claimed, claimed_at).await;
            if !refused.is_empty() {
                self.outbox.mark_sent(&self.pool, &refused).await?;
            }
            if (count as i64) < limit {
                return Ok(());
            }
        }
    }

    /// Whether everything that is old enough is gone.
    async fn purge(&self) -> Result<bool, sqlx::Error> {
        let limit = self.outbox_config.sweep_batch_max;
        let full = limit as u64;
        let kept = TimeDelta::hours(self.outbox_config.retention_hours);
        let before = id_at(clock::now() - kept);
        let mut left = true;
        for _ in 0..PURGE_BATCHES_MAX {
            left = self.outbox.purge(&self.pool, before, limit).await? >= limit;
            if !left {
                break;
            }
        }
        let kept = TimeDelta::hours(self.inbox_config.retention_hours);
        let before = id_at(clock::now() - kept);
        let kept = Duration::from_secs(self.inbox_config.retention_hours.unsigned_abs() * 3600);
        for _ in 0..PURGE_BATCHES_MAX {
            if self.inbox.purge(&self.pool, before, kept, limit).await? < full {
                return Ok(!left);
            }
        }
        Ok(false)
    }
}

/// The batches of which nothing is left to publish, because all of it was refused.
fn refused(claimed: &Claimed) -> Vec<Batch> {
    let open: HashSet<Uuid> = claimed.rows.iter().map(|row| row.batch_id).collect();
    let batches = claimed.batches.iter().map(|(batch, _)| *batch);
    batches.filter(|batch| !open.contains(&batch.id)).collect()
}

/// The smallest kind of id made at `time`: ids of events and batches are UUIDv7, so older ones compare less.
fn id_at(time: chrono::DateTime<chrono::Utc>) -> Uuid {
    let seconds = u64::try_from(time.timestamp()).unwrap_or_default();
    Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, 0))
}
