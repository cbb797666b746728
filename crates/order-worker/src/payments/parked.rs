use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use common::crash::{self, Boundary};
use common::{backoff, clock};
use tokio_util::sync::CancellationToken;

use super::callback::{Callbacks, Taken, Unfit};
use super::config::PaymentConfig;
use super::ledger::Ledger;
use super::metric;
use crate::store::ParkedEvent;

/// Its name among the points where a process can die.
const PLACE: &str = "parked-sweeper";
/// Events looked at in one sweep.
const BATCH_MAX: i64 = 100;

/// Tries parked events again: their order may have come, or a newer build can read them.
pub struct Parked {
    ledger: Arc<dyn Ledger>,
    callbacks: Callbacks,
    retry: Duration,
    deadline: TimeDelta,
}

impl fmt::Debug for Parked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parked").finish_non_exhaustive()
    }
}

impl Parked {
    pub fn new(ledger: Arc<dyn Ledger>, callbacks: Callbacks, config: &PaymentConfig) -> Self {
        Self {
            ledger,
            callbacks,
            retry: Duration::from_millis(config.parked_retry_ms),
            deadline: TimeDelta::hours(config.parked_deadline_hours),
        }
    }

    /// Sweeps until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let work = async {
            loop {
                self.sweep().await;
                tokio::time::sleep(backoff::jitter(self.retry)).await;
            }
        };
        stop.run_until_cancelled(work).await;
    }

    async fn sweep(&self) {
        let events = match self.ledger.claim_parked(BATCH_MAX, self.retry).await {
            Ok(events) => events,
            Err(error) => {
                tracing::debug!(%error, "the parked events could not be swept");
                return;
            }
        };
        if !events.is_empty() {
            crash::at(Boundary::Found, PLACE);
        }
        for event in events {
            match self.callbacks.apply(self.ledger.as_ref(), &event.body).await {
                Ok(Taken::Applied) => tracing::info!(
                    order.no = %event.order_no, event.id = %event.event_id,
                    "parked event {} took effect", event.event_id
                ),
                Ok(Taken::Not(unfit)) => self.wait_on(&event, &unfit).await,
                // A dependency is away: the event stays parked.
                Err(error) => {
                    tracing::debug!(%error, "the parked events wait");
                    return;
                }
            }
        }
    }

    /// Leaves the event parked, unless its time is up.
    async fn wait_on(&self, event: &ParkedEvent, unfit: &Unfit) {
        if clock::now() < event.received_at + self.deadline {
            return;
        }
        metrics::counter!(metric::EVENTS_ABANDONED).increment(1);
        tracing::error!(
            order.no = %event.order_no, event.id = %event.event_id, reason = %unfit,
            "event {} of provider {} never took effect: an operator must look at it",
            event.event_id, event.provider
        );
        if let Err(error) = self.ledger.end_parked(event, &format!("abandoned: {unfit}")).await {
            tracing::debug!(%error, "the parked event's end could not be written");
        }
    }
}
