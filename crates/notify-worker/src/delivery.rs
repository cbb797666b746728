//! Deliveries, after the commit: handed over in memory, made with bounded concurrency, answered
//! through the local queue. What a crash or a full queue left behind is the sweeper's. Only what
//! needs nobody outside the process is delivered before the commit, which then records it all.

use std::sync::Arc;
use std::time::Duration;

use contracts::Channel;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::domain::{Deliver, Outcome, Request};
use crate::metric;

mod at_once;
mod office;
mod sweeper;
mod written;

pub use at_once::AtOnce;
pub use office::{Office, Shared};
pub use sweeper::Sweeper;

/// A delivery that is ours to make until its lease runs out.
#[derive(Debug)]
pub(crate) struct Leased {
    pub(crate) attempt: u32,
    pub(crate) request: Arc<Request>,
    /// After this the sweeper of any process may have claimed it.
    pub(crate) until: Instant,
}

/// Where deliveries are handed over; one queue for each channel.
#[derive(Debug, Clone)]
pub struct Dispatch {
    sms: mpsc::Sender<Leased>,
    email: mpsc::Sender<Leased>,
    push: mpsc::Sender<Leased>,
    lease: Duration,
}

/// The other ends of a [`Dispatch`].
#[derive(Debug)]
pub struct Counters {
    pub(crate) sms: mpsc::Receiver<Leased>,
    pub(crate) email: mpsc::Receiver<Leased>,
    pub(crate) push: mpsc::Receiver<Leased>,
}

impl Dispatch {
    /// Queues of at most `queue_max` deliveries each, which are leased for `lease`.
    pub fn new(queue_max: usize, lease: Duration) -> (Self, Counters) {
        let (sms, sms_counter) = mpsc::channel(queue_max);
        let (email, email_counter) = mpsc::channel(queue_max);
        let (push, push_counter) = mpsc::channel(queue_max);
        let counters = Counters { sms: sms_counter, email: email_counter, push: push_counter };
        (Self { sms, email, push, lease }, counters)
    }

    fn queue(&self, channel: Channel) -> &mpsc::Sender<Leased> {
        match channel {
            Channel::Sms => &self.sms,
            Channel::Email => &self.email,
            Channel::Push => &self.push,
        }
    }

    /// Takes a committed delivery that is due now; never waits. A later one, or one that does
    /// not fit, is left to the sweeper.
    pub(crate) fn hand_over(&self, deliver: Deliver) {
        if !deliver.after.is_zero() {
            return;
        }
        let channel = deliver.request.channel;
        // Half of the lease: a delivery that starts just before the limit still ends inside it.
        let until = Instant::now() + self.lease / 2;
        let leased = Leased { attempt: deliver.attempt, request: deliver.request, until };
        if self.queue(channel).try_send(leased).is_err() {
            metrics::counter!(metric::LEFT_TO_SWEEPER, "channel" => channel.as_str()).increment(1);
        }
    }
}

fn count(channel: Channel, outcome: &Outcome) {
    let name = match outcome {
        Outcome::Delivered => metric::SENT,
        Outcome::Later { .. } => metric::RETRIED,
        Outcome::Never { .. } => metric::FAILED,
        Outcome::Overdue => return,
    };
    metrics::counter!(name, "channel" => channel.as_str()).increment(1);
}

async fn timed<T>(channel: Channel, delivery: impl Future<Output = T>) -> T {
    let started = Instant::now();
    let delivered = delivery.await;
    metrics::histogram!(metric::DELIVERY_SECONDS, "channel" => channel.as_str())
        .record(started.elapsed().as_secs_f64());
    delivered
}
