//! Whether more orders are let in.
//!
//! What is accepted faster than it can be decided piles up in the broker, where every order waits
//! behind all others. So each committed step says how long its order had waited for it; when even
//! the quickest one of the last moment waited longer than the limit, a share of new orders is
//! turned away at the door, growing with the backlog. So it is when a request waits for half the
//! limit until it is looked at, because its caller waits with it. Orders that come by message are not
//! turned away: they are left on the bus for as long. While nothing is decided at all (a worker or
//! the broker is away) orders are let in: they are safe in the tables.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::{Order, Status};

/// How often the backlog is worked out anew.
const INTERVAL: Duration = Duration::from_millis(100);
/// What was seen is forgotten when no step follows within this time.
const MEMORY: Duration = Duration::from_secs(2);
/// Nothing was seen in this interval.
const NOTHING: u64 = u64::MAX;

/// The door. Clones share it.
#[derive(Debug, Clone)]
pub struct Admission(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit_ms: u64,
    started: Instant,
    /// The shortest wait of the interval that is under way.
    shortest_ms: AtomicU64,
    /// When it began, in ms after `started`.
    interval_began_ms: AtomicU64,
    /// The shortest wait of the last interval that had any, and when it ended.
    backlog_ms: AtomicU64,
    seen_at_ms: AtomicU64,
}

impl Admission {
    /// Orders may wait `limit` for a step.
    pub fn new(limit: Duration) -> Self {
        Self(Arc::new(Shared {
            limit_ms: millis(limit).max(1),
            started: Instant::now(),
            shortest_ms: AtomicU64::new(NOTHING),
            interval_began_ms: AtomicU64::new(0),
            backlog_ms: AtomicU64::new(0),
            seen_at_ms: AtomicU64::new(0),
        }))
    }

    /// Notes how long an order waited for the step that it has just made, if others made it.
    pub fn observe(&self, before: Option<&Order>, after: &Order) {
        if let Some(waited) = waited(before, after) {
            self.0.shortest_ms.fetch_min(millis(waited), Ordering::Relaxed);
        }
    }

    /// Whether one more order is let in, when requests wait `queued` until they are looked at.
    pub fn admits(&self, queued: Duration) -> bool {
        let now_ms = millis(self.0.started.elapsed());
        let share = self.share_refused(now_ms).max(self.share_of(millis(queued.saturating_mul(2))));
        share <= 0.0 || rand::random::<f64>() >= share
    }

    /// Waits until a batch of orders is let in: for as long as one would be turned away.
    pub async fn let_in(&self) {
        while !self.admits(Duration::ZERO) {
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// From 0 (all are let in) to 1 (none is), at `now_ms` after the start.
    fn share_refused(&self, now_ms: u64) -> f64 {
        let shared = &*self.0;
        let began_ms = shared.interval_began_ms.load(Ordering::Relaxed);
        let is_over = now_ms.saturating_sub(began_ms) >= millis(INTERVAL);
        let swap = |to| {
            let order = Ordering::Relaxed;
            shared.interval_began_ms.compare_exchange(began_ms, to, order, order).is_ok()
        };
        // Whoever comes first after its end closes the interval.
        if is_over && swap(now_ms) {
            let shortest_ms = shared.shortest_ms.swap(NOTHING, Ordering::Relaxed);
            if shortest_ms != NOTHING {
                shared.backlog_ms.store(shortest_ms, Ordering::Relaxed);
                shared.seen_at_ms.store(now_ms, Ordering::Relaxed);
            } else if now_ms - shared.seen_at_ms.load(Ordering::Relaxed) >= millis(MEMORY) {
                shared.backlog_ms.store(0, Ordering::Relaxed);
            }
        }
        self.share_of(shared.backlog_ms.load(Ordering::Relaxed))
    }

    /// None up to the limit, all from twice the limit on.
    fn share_of(&self, backlog_ms: u64) -> f64 {
        let limit_ms = self.0.limit_ms as f64;
        ((backlog_ms as f64 - limit_ms) / limit_ms).clamp(0.0, 1.0)
    }
}

/// The time from a step of ours to stock-worker's answer to it, by the database's clock.
fn waited(before: Option<&Order>, after: &Order) -> Option<Duration> {
    let (from, until) = match (before?.status, after.status) {
        (Status::Pending, Status::Reserved) => (after.created_at, after.reserved_at?),
        (Status::Pending, Status::Rejected) => (after.created_at, after.closed_at?),
        (Status::Paid, Status::Confirmed) => (after.paid_at?, after.confirmed_at?),
        _ => return None,
    };
    (until - from).to_std().ok()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door() -> Admission {
        Admission::new(Duration::from_millis(500))
    }

    fn saw(door: &Admission, ms: u64) {
        door.0.shortest_ms.fetch_min(ms, Ordering::Relaxed);
    }

    #[test]
    fn a_short_wait_lets_everybody_in() {
        let door = door();
        saw(&door, 499);
        saw(&door, 5_000);
        assert_eq!(door.share_refused(100), 0.0);
    }

    #[test]
    fn the_share_that_is_turned_away_grows_with_the_backlog() {
        let door = door();
        saw(&door, 750);
        assert_eq!(door.share_refused(99), 0.0);
        assert_eq!(door.share_refused(100), 0.5);
        saw(&door, 3_000);
        assert_eq!(door.share_refused(150), 0.5);
        assert_eq!(door.share_refused(200), 1.0);
        saw(&door, 10);
        assert_eq!(door.share_refused(300), 0.0);
    }

    #[test]
    fn requests_that_wait_long_are_turned_away_at_the_door() {
        let door = door();
        assert!((0..100).all(|_| door.admits(Duration::from_millis(250))));
        assert!((0..100).all(|_| !door.admits(Duration::from_millis(500))));
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_by_message_waits_until_the_backlog_is_gone() {
        let door = door();
        tokio::time::timeout(Duration::from_millis(1), door.let_in()).await.unwrap();
        saw(&door, 3_000);
        tokio::time::sleep(INTERVAL).await;
        let began = Instant::now();
        let waiting = tokio::time::timeout(INTERVAL * 5, door.let_in()).await;
        assert!(waiting.is_err(), "let in after {:?}", began.elapsed());
        saw(&door, 10);
        tokio::time::timeout(INTERVAL * 2, door.let_in()).await.unwrap();
    }

    #[test]
    fn when_nothing_is_decided_any_more_the_backlog_is_forgotten() {
        let door = door();
        saw(&door, 3_000);
        assert_eq!(door.share_refused(100), 1.0);
        assert_eq!(door.share_refused(2_000), 1.0);
        assert_eq!(door.share_refused(2_200), 0.0);
    }
}
