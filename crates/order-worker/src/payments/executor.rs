use std::sync::Arc;
use std::time::Duration;

use common::life::Tasks;
use tokio::sync::mpsc;

use super::call::{Desk, Job};
use super::config::PaymentConfig;
use super::driver::Driver;
use super::gateway::Gateways;
use super::ledger::Ledger;
use super::metric;
use super::sweeper::{self, Sweep};
use crate::domain::Call;

/// Where committed calls go. Clones share the queue.
#[derive(Debug, Clone)]
pub struct HandOver(mpsc::Sender<Job>);

/// The other end, for [`Executor::start`].
#[derive(Debug)]
pub struct Intake {
    jobs: mpsc::Receiver<Job>,
    /// The sweeper's way in.
    sender: mpsc::Sender<Job>,
}

/// A queue of at most `queue_max` calls.
pub fn hand_over(queue_max: usize) -> (HandOver, Intake) {
    let (sender, jobs) = mpsc::channel(queue_max);
    (HandOver(sender.clone()), Intake { jobs, sender })
}

impl HandOver {
    /// Hands over calls that have just been committed; never waits. What does not fit is found
    /// in the table once its lease has run out.
    pub fn try_hand_over(&self, calls: Vec<Call>) {
        let mut left: u64 = 0;
        for call in calls {
            if self.0.try_send(Job { call, attempts: 0 }).is_err() {
                left += 1;
            }
        }
        if left > 0 {
            metrics::counter!(metric::CALLS_LEFT_TO_SWEEPER).increment(left);
        }
    }
}

/// Makes the calls to payment providers.
#[derive(Debug)]
pub struct Executor;

impl Executor {
    /// Starts to make what `intake` is given and what the table still has.
    ///
    /// Both tasks end by themselves once `tasks.stop` is cancelled and the calls under way have
    /// their answers; the queue of the orders must be open until then.
    pub fn start(
        intake: Intake,
        gateways: Gateways,
        ledger: Arc<dyn Ledger>,
        config: PaymentConfig,
        tasks: &Tasks,
    ) {
        let config = Arc::new(config);
        let sweep = Sweep {
            ledger: ledger.clone(),
            gateways: gateways.clone(),
            jobs: intake.sender,
            interval: Duration::from_millis(config.sweep_interval_ms),
            batch_max: config.sweep_batch_max,
            lease: Duration::from_millis(config.call_lease_ms),
        };
        let driver = Driver::new(Desk { gateways, ledger, config });
        tasks.spawn("payment-calls", driver.run(intake.jobs, tasks.stop.clone()));
        tasks.spawn("payment-sweeper", sweeper::run(sweep, tasks.stop.clone()));
    }
}

#[cfg(test)]
mod tests;
