//! How long a batch waits for more: much of what a batch costs is the same whatever its size, so
//! under load fewer and larger ones leave more of the machine to the messages. How loaded it is
//! shows in how long batches take, so they wait in proportion to that: not at all when little
//! comes, a few milliseconds when there is room, longer when all is busy.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

/// Arrivals are counted over about this time.
const MEMORY: Duration = Duration::from_millis(250);
/// Waiting pays when so many messages are to be expected meanwhile.
const WORTH: f64 = 8.0;
/// A batch may wait so many times as long as the last ones took: what its messages cost in the
/// stages to come is saved, too.
const PATIENCE: u32 = 6;
/// The part of a wait after which a pause in arrivals ends it. Of one that is shorter than a third of
/// the longest it is a smaller part: then there is room, and perhaps nothing comes before this batch
/// has been answered.
const GAP_PART: f64 = 1.0 / 24.0;
const GAP_PART_OF_SHORT: f64 = 3.0 * GAP_PART;
/// The newest batch is so much of the memory of how long batches take.
const TOOK_PART: u32 = 4;

/// The pace of one pipeline.
pub(super) struct Pace {
    batch_max: usize,
    gather_max: Duration,
    arrivals: Mutex<Arrivals>,
    /// How long the last batches took, the newest counting most.
    took_us: AtomicU64,
}

/// The turn to gather: batches are gathered one after the other, so that they do not share what
/// comes.
pub(super) struct Turn<'p> {
    pace: &'p Pace,
    /// How long this batch may wait.
    gather: Duration,
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
        Self { batch_max, gather_max, arrivals: Mutex::new(arrivals), took_us: AtomicU64::new(0) }
    }

    pub(super) async fn turn(&self) -> Turn<'_> {
        let arrivals = self.arrivals.lock().await;
        let took = Duration::from_micros(self.took_us.load(Ordering::Relaxed));
        let gather = took.saturating_mul(PATIENCE).min(self.gather_max);
        Turn { pace: self, gather, arrivals }
    }

    /// Notes how long a batch took, from the end of its turn to its last acknowledgement.
    pub(super) fn took(&self, time: Duration) {
        let before = Duration::from_micros(self.took_us.load(Ordering::Relaxed));
        // Of two batches that end at once one may go uncounted.
        let now = (before * (TOOK_PART - 1) + time) / TOOK_PART;
        self.took_us.store(u64::try_from(now.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Turn<'_> {
    pub(super) fn batch_max(&self) -> usize {
        self.pace.batch_max
    }

    /// Until when a batch that begins now may wait for more; none when that is not worth it.
    pub(super) fn wait_until(&self) -> Option<Instant> {
        let now = Instant::now();
        let expected = self.arrivals.per_second(now) * self.gather.as_secs_f64();
        (expected >= WORTH).then(|| now + self.gather)
    }

    /// The pause in arrivals after which a batch waits no longer.
    pub(super) fn gap(&self) -> Duration {
        let longest = self.pace.gather_max.max(Duration::from_micros(1));
        let length = self.gather.div_duration_f64(longest);
        self.gather.mul_f64(GAP_PART.min(length * GAP_PART_OF_SHORT))
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

    const GATHER_MAX: Duration = Duration::from_millis(100);
    const TOOK: Duration = Duration::from_millis(3);

    /// The pace of batches that all took that long.
    fn pace(took: Duration) -> Pace {
        let pace = Pace::new(256, GATHER_MAX);
        for _ in 0..100 {
            pace.took(took);
        }
        pace
    }

    /// How long a batch waits after a second of `count` messages every `every_ms`.
    async fn wait(pace: &Pace, count: usize, every_ms: u64) -> Option<Duration> {
        for _ in 0..1_000 / every_ms {
            tokio::time::sleep(Duration::from_millis(every_ms)).await;
            pace.turn().await.end(count);
        }
        pace.turn().await.wait_until().map(|until| until - Instant::now())
    }

    fn is_about(wait: Option<Duration>, expected: Duration) -> bool {
        wait.is_some_and(|wait| wait <= expected && wait > expected.mul_f64(0.99))
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_when_little_comes() {
        assert_eq!(wait(&pace(TOOK), 1, 1_000).await, None);
        assert_eq!(wait(&pace(TOOK), 2, 12).await, None, "one saga after the other");
        assert_eq!(
            wait(&Pace::new(256, GATHER_MAX), 1, 1).await,
            None,
            "nothing took any time yet"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn batches_wait_as_long_as_they_take_and_never_longer_than_allowed() {
        assert!(is_about(wait(&pace(TOOK), 1, 1).await, TOOK * PATIENCE));
        assert!(is_about(wait(&pace(TOOK), 60, 60).await, TOOK * PATIENCE));
        assert!(is_about(wait(&pace(TOOK * 2), 1, 1).await, TOOK * 2 * PATIENCE));
        assert!(is_about(wait(&pace(Duration::MAX / 8), 1, 1).await, GATHER_MAX));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_may_be_longer_the_longer_a_batch_waits() {
        let gap = async |took: u32| pace(TOOK * took).turn().await.gap();
        assert!(is_about(Some(gap(8).await), GATHER_MAX.mul_f64(1.0 / 24.0)), "as long as allowed");
        assert!(is_about(Some(gap(1).await), (TOOK * PATIENCE).mul_f64(0.18 / 8.0)));
        assert_eq!(Pace::new(256, Duration::ZERO).turn().await.gap(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_any_longer_when_the_rush_is_over() {
        let pace = pace(TOOK);
        pace.turn().await.end(10_000);
        assert!(pace.turn().await.wait_until().is_some());
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(pace.turn().await.wait_until(), None);
    }
}
