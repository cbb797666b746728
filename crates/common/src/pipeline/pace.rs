//! How long a batch waits for more: a batch costs much the same whatever its size, so under load
//! fewer and larger ones leave more of the machine to the messages.

use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

/// Arrivals are counted over about this time.
const MEMORY: Duration = Duration::from_millis(250);
/// Waiting pays when so many messages are to be expected in the longest wait.
const WORTH: f64 = 8.0;
/// The part of the longest wait after which a pause in arrivals ends it. Requests come one by one;
/// what a pull brings comes at once.
const LOCAL_GAP_PART: u32 = 8;
const BUS_GAP_PART: u32 = 16;

/// The pace of one pipeline.
pub(super) struct Pace {
    batch_max: usize,
    gather_max: Duration,
    arrivals: Mutex<Arrivals>,
}

/// The turn to gather: batches are gathered one after the other, so that they do not share what
/// comes.
pub(super) struct Turn<'p> {
    pace: &'p Pace,
    arrivals: MutexGuard<'p, Arrivals>,
}

/// Messages, each counting less the longer ago it came.
struct Arrivals {
    weight: f64,
    counted_at: Instant,
}

impl Pace {
    /// Batches of about `batch_max` messages that wait for at most `gather_max`.
    pub(super) fn new(batch_max: usize, gather_max: Duration) -> Self {
        let arrivals = Arrivals { weight: 0.0, counted_at: Instant::now() };
        Self { batch_max, gather_max, arrivals: Mutex::new(arrivals) }
    }

    pub(super) async fn turn(&self) -> Turn<'_> {
        Turn { pace: self, arrivals: self.arrivals.lock().await }
    }
}

impl Turn<'_> {
    pub(super) fn batch_max(&self) -> usize {
        self.pace.batch_max
    }

    /// Until when a batch that begins now may wait for more; none when that is not worth it.
    pub(super) fn wait_until(&self) -> Option<Instant> {
        let now = Instant::now();
        let expected = self.arrivals.per_second(now) * self.pace.gather_max.as_secs_f64();
        (expected >= WORTH).then(|| now + self.pace.gather_max)
    }

    /// The pause in arrivals after which a batch of requests waits no longer.
    pub(super) fn local_gap(&self) -> Duration {
        self.pace.gather_max / LOCAL_GAP_PART
    }

    /// The same for messages from the bus.
    pub(super) fn bus_gap(&self) -> Duration {
        self.pace.gather_max / BUS_GAP_PART
    }

    /// Ends the turn with a batch of `count` messages.
    pub(super) fn end(mut self, count: usize) {
        self.arrivals.add(count, Instant::now());
    }
}

impl Arrivals {
    fn add(&mut self, count: usize, now: Instant) {
        self.weight = self.weight_at(now) + count as f64;
        self.counted_at = now;
    }

    fn per_second(&self, now: Instant) -> f64 {
        self.weight_at(now) / MEMORY.as_secs_f64()
    }

    fn weight_at(&self, now: Instant) -> f64 {
        let passed = now.duration_since(self.counted_at).as_secs_f64();
        self.weight * (-passed / MEMORY.as_secs_f64()).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GATHER: Duration = Duration::from_millis(20);

    /// Whether a batch waits after a second of `count` messages every `every_ms`.
    async fn waits(count: usize, every_ms: u64) -> bool {
        let pace = Pace::new(256, GATHER);
        for _ in 0..1_000 / every_ms {
            tokio::time::sleep(Duration::from_millis(every_ms)).await;
            pace.turn().await.end(count);
        }
        pace.turn().await.wait_until().is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_when_little_comes() {
        assert!(!waits(1, 1_000).await);
        assert!(!waits(2, 12).await, "one saga after the other");
    }

    #[tokio::test(start_paused = true)]
    async fn batches_wait_under_load_and_no_longer_when_it_is_over() {
        assert!(waits(1, 1).await);
        assert!(waits(60, 60).await);
        let pace = Pace::new(256, GATHER);
        pace.turn().await.end(10_000);
        assert_eq!(pace.turn().await.wait_until(), Some(Instant::now() + GATHER));
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(pace.turn().await.wait_until(), None);
    }
}
