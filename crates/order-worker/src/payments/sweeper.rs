//! Finds the calls that a crash, a full queue or a delay has left in the table.

use std::sync::Arc;
use std::time::Duration;

use common::backoff;
use common::crash::{self, Boundary};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::call::Job;
use super::gateway::Gateways;
use super::ledger::Ledger;

/// Its name among the points where a process can die.
const PLACE: &str = "call-sweeper";

pub(super) struct Sweep {
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) gateways: Gateways,
    pub(super) jobs: mpsc::Sender<Job>,
    pub(super) interval: Duration,
    pub(super) batch_max: i64,
    pub(super) lease: Duration,
}

/// Sweeps until `stop`.
pub(super) async fn run(sweep: Sweep, stop: CancellationToken) {
    let work = async {
        loop {
            sweep.gateways.probe().await;
            sweep.once().await;
            tokio::time::sleep(backoff::jitter(sweep.interval)).await;
        }
    };
    stop.run_until_cancelled(work).await;
}

impl Sweep {
    async fn once(&self) {
        loop {
            let claimed = match self.ledger.claim_calls(self.batch_max, self.lease).await {
                Ok(claimed) => claimed,
                // The database's own dependency says why.
                Err(error) => {
                    tracing::debug!(%error, "the calls could not be swept");
                    return;
                }
            };
            if !claimed.is_empty() {
                crash::at(Boundary::Found, PLACE);
            }
            let full = i64::try_from(claimed.len()).is_ok_and(|count| count >= self.batch_max);
            for claimed in claimed {
                let attempts = u32::try_from(claimed.attempts).unwrap_or_default();
                if self.jobs.send(Job { call: claimed.call, attempts }).await.is_err() {
                    return;
                }
            }
            if !full {
                return;
            }
        }
    }
}
