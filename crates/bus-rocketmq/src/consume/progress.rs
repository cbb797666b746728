//! How far a group has come with a queue.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use common::bus::Position;
use rocketmq_model::common::message::message_queue::MessageQueue;

/// A queue's progress has not been stored yet, or who knows.
const NEVER: i64 = -1;

/// One queue that this member has been given.
pub(crate) struct Queue {
    pub(super) name: MessageQueue,
    broker: Arc<str>,
    progress: Mutex<Progress>,
    /// Another member has it now: what we hold of it is not ours any more.
    revoked: AtomicBool,
    stored: AtomicI64,
}

/// Offsets that were pulled and not finished, and the one to pull next.
#[derive(Debug, Default)]
struct Progress {
    unfinished: BTreeSet<i64>,
    next: Option<i64>,
}

impl Queue {
    pub(super) fn new(name: MessageQueue) -> Self {
        Self {
            broker: Arc::from(name.broker_name().as_str()),
            name,
            progress: Mutex::default(),
            revoked: AtomicBool::new(false),
            stored: AtomicI64::new(NEVER),
        }
    }

    /// Where the message with this offset lies.
    pub(crate) fn position(&self, offset: i64) -> Position {
        Position { broker: self.broker.clone(), queue: self.name.queue_id(), offset }
    }

    /// Starts at an offset that the broker has stored for the group.
    pub(super) fn start(&self, offset: i64) {
        self.progress().next = Some(offset);
        self.stored.store(offset, Ordering::Relaxed);
    }

    /// Notes what a pull brought, and where the next one goes on.
    pub(super) fn pulled(&self, offsets: impl Iterator<Item = i64>, next: i64) {
        let mut progress = self.progress();
        progress.unfinished.extend(offsets);
        progress.next = Some(next);
    }

    pub(super) fn finish(&self, offset: i64) {
        self.progress().unfinished.remove(&offset);
    }

    /// The lowest unfinished offset: everything before it need not come again.
    pub(super) fn committable(&self) -> Option<i64> {
        let progress = self.progress();
        progress.unfinished.first().copied().or(progress.next)
    }

    /// What [`Queue::committable`] says, when the broker has something else.
    pub(super) fn to_store(&self) -> Option<i64> {
        self.committable().filter(|offset| *offset != self.stored.load(Ordering::Relaxed))
    }

    pub(super) fn stored(&self, offset: i64) {
        self.stored.store(offset, Ordering::Relaxed);
    }

    /// The broker may not have what we stored.
    pub(super) fn doubt(&self) {
        self.stored.store(NEVER, Ordering::Relaxed);
    }

    pub(super) fn revoke(&self) {
        self.revoked.store(true, Ordering::Release);
    }

    pub(super) fn is_revoked(&self) -> bool {
        self.revoked.load(Ordering::Acquire)
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> Queue {
        Queue::new(MessageQueue::from_parts("TOPIC", "broker", 0))
    }

    #[test]
    fn nothing_is_committable_before_the_start() {
        assert_eq!(queue().committable(), None);
    }

    #[test]
    fn the_lowest_unfinished_offset_is_committed() {
        let queue = queue();
        queue.start(10);
        queue.pulled(10..14, 14);
        queue.finish(12);
        queue.finish(11);
        assert_eq!(queue.committable(), Some(10));
        queue.finish(10);
        assert_eq!(queue.committable(), Some(13));
        queue.finish(13);
        assert_eq!(queue.committable(), Some(14));
    }

    #[test]
    fn messages_that_the_filter_skipped_are_committed_too() {
        let queue = queue();
        queue.start(10);
        queue.pulled([12, 15].into_iter(), 20);
        queue.finish(12);
        queue.finish(15);
        queue.pulled(std::iter::empty(), 90);
        assert_eq!(queue.to_store(), Some(90));
        queue.stored(90);
        assert_eq!(queue.to_store(), None);
    }
}
