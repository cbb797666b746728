//! Consuming: a session per subscription, which outlives every outage.

use std::sync::Arc;
use std::time::Duration;

use common::bus::{BusError, Consumer, Subscription, retry_topic};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{Shared, names};

mod buffer;
mod deliver;
mod frames;
mod health;
mod members;
mod progress;
mod pull;
mod session;

use session::Session;

pub(crate) use frames::Frame;
pub(crate) use members::Members;
pub(crate) use progress::Queue;

/// One delivery is made ahead; the others wait as messages, so that batches grow under load.
const DELIVERIES_AHEAD: usize = 1;

/// Starts to consume; connecting goes on in the background for as long as it takes.
pub(crate) fn subscribe(
    shared: &Arc<Shared>,
    subscription: Subscription,
) -> Result<Consumer, BusError> {
    check(&subscription)?;
    let (deliveries, receiver) = mpsc::channel(DELIVERIES_AHEAD);
    let stop = shared.closed.child_token();
    let session = Session::new(Arc::clone(shared), subscription, stop.clone());
    shared.tasks.spawn(session.run(deliveries));
    Ok(Consumer::new(receiver, stop))
}

fn check(subscription: &Subscription) -> Result<(), BusError> {
    let misconfigured = |problem: String| Err(BusError::Misconfigured(problem));
    if subscription.batch_max == 0 || subscription.in_flight_max == 0 {
        return misconfigured(
            "batch_max and in_flight_max of a subscription are at least 1".into(),
        );
    }
    for name in [&*subscription.topic, &*retry_topic(&subscription.group)] {
        if !names::is_legal(name) {
            return misconfigured(format!("{name:?} is no legal name"));
        }
    }
    if let Some(tag) = subscription.tags.iter().find(|tag| !is_plain_tag(tag)) {
        return misconfigured(format!("{tag:?} is no legal tag"));
    }
    Ok(())
}

fn is_plain_tag(tag: &str) -> bool {
    !tag.is_empty() && !tag.contains(|c: char| c.is_whitespace() || c == '|' || c == '*')
}

/// Waits a little longer each time, up to a limit.
struct Backoff {
    next: Duration,
    max: Duration,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(50);

    fn new(max: Duration) -> Self {
        Self { next: Self::FIRST.min(max), max }
    }

    fn reset(&mut self) {
        self.next = Self::FIRST.min(self.max);
    }

    /// `false` when told to stop meanwhile.
    async fn wait(&mut self, stop: &CancellationToken) -> bool {
        let pause = self.next;
        self.next = (self.next * 2).min(self.max);
        tokio::select! {
            () = stop.cancelled() => false,
            () = tokio::time::sleep(pause) => true,
        }
    }
}
