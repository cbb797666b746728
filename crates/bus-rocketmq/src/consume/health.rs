//! Whether a member's client seems to work.

use std::sync::atomic::{AtomicU32, Ordering};

/// Pulls that failed one after the other before the client is replaced, of all queues.
const PULL_FAILURES_MAX: u32 = 3;
/// The same for looks at the group's members, which the broker answers at once: when one stays without
/// an answer, pulls do, too, but they wait for longer.
const LOOK_FAILURES_MAX: u32 = 1;

/// Counts failures since the last success.
#[derive(Default)]
pub(super) struct Health {
    pulls: AtomicU32,
    looks: AtomicU32,
}

impl Health {
    pub(super) fn pulled(&self) {
        self.pulls.store(0, Ordering::Relaxed);
    }

    pub(super) fn failed_to_pull(&self) {
        self.pulls.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn looked(&self) {
        self.looks.store(0, Ordering::Relaxed);
    }

    pub(super) fn failed_to_look(&self) {
        self.looks.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn is_poor(&self) -> bool {
        self.pulls.load(Ordering::Relaxed) >= PULL_FAILURES_MAX
            || self.looks.load(Ordering::Relaxed) >= LOOK_FAILURES_MAX
    }

    pub(super) fn start_again(&self) {
        self.pulled();
        self.looked();
    }
}
