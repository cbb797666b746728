//! Callers who wait until an order has come somewhere: the long poll of the API.
//!
//! A commit in this process wakes them at once. What another member of the group commits is found
//! by one batched read every [`READ_INTERVAL`].

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use contracts::{OrderNo, OrderStatus};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::store::Store;

/// How often orders that somebody waits for are read.
const READ_INTERVAL: Duration = Duration::from_millis(100);

/// How far an order must have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Tickets are held, or never will be.
    Reserved,
    /// Paid and sold, or it has ended in another way.
    Confirmed,
}

impl Goal {
    /// Whether an order of this status has come so far, or can't any more.
    pub fn is_reached_by(self, status: OrderStatus) -> bool {
        match self {
            Self::Reserved => status != OrderStatus::Pending,
            Self::Confirmed => matches!(
                status,
                OrderStatus::Confirmed
                    | OrderStatus::Rejected
                    | OrderStatus::Cancelled
                    | OrderStatus::Expired
                    | OrderStatus::Refunded
            ),
        }
    }
}

/// Who waits for which order. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Waiting(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    orders: Mutex<HashMap<OrderNo, Entry>>,
    /// As many as `orders` has, so that a commit that nobody waits for takes no lock.
    count: AtomicUsize,
}

#[derive(Debug)]
struct Entry {
    status: watch::Sender<OrderStatus>,
    since: Instant,
}

/// One caller's place; it is given up when dropped.
#[derive(Debug)]
pub struct Place {
    waiting: Waiting,
    order_no: OrderNo,
    status: watch::Receiver<OrderStatus>,
}

impl Waiting {
    /// Takes a place. Taken before the order is created, no change is missed.
    pub fn place(&self, order_no: &OrderNo) -> Place {
        let mut orders = self.lock();
        let entry = orders.entry(order_no.clone()).or_insert_with(|| Entry {
            status: watch::Sender::new(OrderStatus::Pending),
            since: Instant::now(),
        });
        let status = entry.status.subscribe();
        self.0.count.store(orders.len(), Ordering::SeqCst);
        Place { waiting: self.clone(), order_no: order_no.clone(), status }
    }

    /// Tells whoever waits for the order.
    pub fn tell(&self, order_no: &OrderNo, status: OrderStatus) {
        if self.0.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        if let Some(entry) = self.lock().get(order_no) {
            entry.status.send_if_modified(|known| {
                // What was read a moment ago may be older than what was told since.
                let is_newer =
                    *known == OrderStatus::Pending || Goal::Confirmed.is_reached_by(status);
                if is_newer {
                    *known = status;
                }
                is_newer
            });
        }
    }

    /// Reads, until `stop`, the orders that somebody has waited for longer than a while.
    pub async fn keep_reading(self, store: Store, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(READ_INTERVAL)).await.is_some() {
            let now = Instant::now();
            let numbers: Vec<OrderNo> = self
                .lock()
                .iter()
                .filter(|(_, entry)| now - entry.since >= READ_INTERVAL)
                .map(|(order_no, _)| order_no.clone())
                .collect();
            if numbers.is_empty() {
                continue;
            }
            match store.statuses(&numbers).await {
                Ok(found) => {
                    found.iter().for_each(|(order_no, status)| self.tell(order_no, *status))
                }
                // The database's own dependency says why; callers are answered at their limit.
                Err(error) => tracing::debug!(%error, "awaited orders could not be read"),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<OrderNo, Entry>> {
        self.0.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// The status with which the goal was reached; none when `limit` was over before.
    pub async fn reached(&mut self, goal: Goal, limit: Duration) -> Option<OrderStatus> {
        let reached = self.status.wait_for(|status| goal.is_reached_by(*status));
        let status = tokio::time::timeout(limit, reached).await.ok()?.ok()?;
        Some(*status)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut orders = self.waiting.lock();
        // This place's own receiver is the last one.
        if orders.get(&self.order_no).is_some_and(|entry| entry.status.receiver_count() <= 1) {
            orders.remove(&self.order_no);
        }
        self.waiting.0.count.store(orders.len(), Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order_no() -> OrderNo {
        OrderNo::new("A1").expect("valid")
    }

    #[tokio::test]
    async fn a_place_hears_what_is_told_after_it_was_taken() {
        let waiting = Waiting::default();
        let mut first = waiting.place(&order_no());
        let mut second = waiting.place(&order_no());
        waiting.tell(&order_no(), OrderStatus::Reserved);
        let long = Duration::from_secs(60);
        assert_eq!(first.reached(Goal::Reserved, long).await, Some(OrderStatus::Reserved));
        waiting.tell(&order_no(), OrderStatus::Confirmed);
        assert_eq!(second.reached(Goal::Confirmed, long).await, Some(OrderStatus::Confirmed));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_at_its_limit() {
        let waiting = Waiting::default();
        let mut place = waiting.place(&order_no());
        waiting.tell(&order_no(), OrderStatus::Paid);
        assert_eq!(place.reached(Goal::Confirmed, Duration::from_millis(50)).await, None);
    }

    #[test]
    fn who_has_gone_is_forgotten() {
        let waiting = Waiting::default();
        let first = waiting.place(&order_no());
        let second = waiting.place(&order_no());
        drop(first);
        assert_eq!(waiting.lock().len(), 1);
        drop(second);
        assert_eq!(waiting.lock().len(), 0);
        assert_eq!(waiting.0.count.load(Ordering::SeqCst), 0);
    }
}
