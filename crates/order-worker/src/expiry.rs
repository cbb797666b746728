//! Finds orders whose deadline has passed and lets the order machine decide about each.
//!
//! Every process sweeps; that two find the same order is absorbed by its version. The sweep
//! reads an index on the deadline, which never changes, from a stored low-water mark.

use std::sync::Arc;
use std::time::Duration;

use common::backoff::jitter;
use common::crash::{self, Boundary};
use common::pipeline::LocalQueue;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use crate::aggregate::{Key, Orders};
use crate::config::ExpiryConfig;
use crate::domain::Message;
use crate::metric;
use crate::store::Store;

/// Its name among the points where a process can die.
const PLACE: &str = "expiry";

/// What the sweep works with.
pub struct Sweep {
    pub store: Store,
    pub queue: Arc<LocalQueue<Orders>>,
    pub config: ExpiryConfig,
}

impl Sweep {
    /// Sweeps every `sweep_interval_ms` (with jitter) until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let interval = Duration::from_millis(self.config.sweep_interval_ms);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(jitter(interval)) => {}
            }
            if let Err(error) = self.sweep(&stop).await {
                tracing::debug!(%error, "the deadlines were not swept");
            }
        }
    }

    async fn sweep(&self, stop: &CancellationToken) -> Result<(), sqlx::Error> {
        let limit = self.config.sweep_batch_max;
        let mut from = None;
        while !stop.is_cancelled() {
            let due = self.store.due(from, limit).await?;
            let count = due.orders.len();
            if count > 0 {
                crash::at(Boundary::Found, PLACE);
            }
            let answers: FuturesUnordered<_> = due
                .orders
                .into_iter()
                .map(|order_no| {
                    self.queue.call_patiently(Key::Order(order_no), Message::DeadlinePassed)
                })
                .collect();
            let decided = answers.filter(|answer| std::future::ready(answer.is_ok())).count().await;
            metrics::counter!(metric::DEADLINES_PASSED).increment(decided as u64);
            from = due.up_to;
            if (count as i64) < limit {
                break;
            }
        }
        self.store.raise_expiry_mark().await
    }
}
