//! What happens later: one queue and one task, whatever the number of payments.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::time::DelayQueue;

use crate::books::{Ending, Ledger};
use crate::callbacks::Delivery;
use crate::ids::{EventId, PaymentId, RefundId};

/// Something that is due.
#[derive(Debug)]
pub(crate) enum Timer {
    Payment(PaymentId),
    Refund(RefundId),
    Deliver(Delivery),
    Drop(EventId),
}

/// Starts timers; it never waits, so it can be used under the ledger's lock.
///
/// The channel has no bound of its own: what can be in it is a few timers per payment, and the
/// number of payments is bounded.
#[derive(Debug, Clone)]
pub(crate) struct Timers(mpsc::UnboundedSender<(Duration, Timer)>);

pub(crate) type TimerQueue = mpsc::UnboundedReceiver<(Duration, Timer)>;

impl Timers {
    pub(crate) fn new() -> (Self, TimerQueue) {
        let (sender, queue) = mpsc::unbounded_channel();
        (Self(sender), queue)
    }

    pub(crate) fn after(&self, delay: Duration, timer: Timer) {
        // Nobody listens any more while the process stops; the journal has what is unfinished.
        let _stopping = self.0.send((delay, timer));
    }

    pub(crate) fn at(&self, at: DateTime<Utc>, now: DateTime<Utc>, timer: Timer) {
        self.after((at - now).to_std().unwrap_or(Duration::ZERO), timer);
    }
}

/// Runs every timer when it is due, until `stop`.
pub(crate) async fn run(
    mut queue: TimerQueue,
    ledger: Arc<Ledger>,
    deliveries: mpsc::UnboundedSender<Delivery>,
    stop: CancellationToken,
) {
    let mut waiting = DelayQueue::new();
    loop {
        let due = tokio::select! {
            () = stop.cancelled() => return,
            Some((delay, timer)) = queue.recv() => {
                if !delay.is_zero() {
                    waiting.insert(timer, delay);
                    continue;
                }
                timer
            }
            Some(expired) = waiting.next(), if !waiting.is_empty() => expired.into_inner(),
        };
        fire(due, &ledger, &deliveries);
    }
}

fn fire(timer: Timer, ledger: &Ledger, deliveries: &mpsc::UnboundedSender<Delivery>) {
    match timer {
        Timer::Payment(id) => ledger.settle_payment(&id),
        Timer::Refund(id) => ledger.settle_refund(&id),
        Timer::Drop(event_id) => ledger.end(event_id, Ending::Dropped),
        Timer::Deliver(delivery) => {
            let _stopping = deliveries.send(delivery);
        }
    }
}
