//! Sold-out flags: said when they changed, by one process, at most once per interval and session.

use std::time::Duration;

use common::backoff;
use common::outbox::Relay;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::metric;
use crate::store::Store;

/// Watches ticket types and publishes `SALE_CHANGED` when one sells out or is available again.
pub struct SoldOut {
    pub store: Store,
    pub relay: Relay,
    pub interval: Duration,
}

impl SoldOut {
    /// Looks every interval (with jitter) until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(backoff::jitter(self.interval)) => {}
            }
            if let Err(error) = self.look().await {
                tracing::debug!(%error, "sold-out flags were not looked at");
            }
        }
    }

    /// Says what changed; answers how many sessions were said.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn look(&self) -> Result<usize, sqlx::Error> {
        let mut said = 0;
        for session_id in self.store.stale_flags().await? {
            if let Some(row) = self.store.publish_flags(session_id, self.interval).await? {
                self.relay.hand_over([row], Instant::now());
                metrics::counter!(metric::SALES_PUBLISHED, "cause" => "flags").increment(1);
                said += 1;
            }
        }
        Ok(said)
    }
}
