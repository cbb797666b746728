//! Counts of what was sent since the start.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

#[derive(Debug, Default)]
pub(crate) struct Stats {
    attempts: AtomicU64,
    delivered: AtomicU64,
    failed_attempts: AtomicU64,
    gave_up: AtomicU64,
    duplicates_sent: AtomicU64,
    forgeries_sent: AtomicU64,
    forgeries_believed: AtomicU64,
}

/// The counts at one moment. `forgeriesBelieved` counts forged callbacks that were answered `2xx`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StatsView {
    attempts: u64,
    delivered: u64,
    failed_attempts: u64,
    gave_up: u64,
    duplicates_sent: u64,
    forgeries_sent: u64,
    forgeries_believed: u64,
}

impl Stats {
    pub(super) fn attempt(&self) {
        add(&self.attempts);
    }

    pub(super) fn delivered(&self) {
        add(&self.delivered);
    }

    pub(super) fn failed_attempt(&self) {
        add(&self.failed_attempts);
    }

    pub(super) fn gave_up(&self) {
        add(&self.gave_up);
    }

    pub(super) fn duplicate_sent(&self) {
        add(&self.duplicates_sent);
    }

    pub(super) fn forgery_sent(&self) {
        add(&self.forgeries_sent);
    }

    pub(super) fn forgery_believed(&self) {
        add(&self.forgeries_believed);
    }

    pub(crate) fn view(&self) -> StatsView {
        StatsView {
            attempts: read(&self.attempts),
            delivered: read(&self.delivered),
            failed_attempts: read(&self.failed_attempts),
            gave_up: read(&self.gave_up),
            duplicates_sent: read(&self.duplicates_sent),
            forgeries_sent: read(&self.forgeries_sent),
            forgeries_believed: read(&self.forgeries_believed),
        }
    }
}

fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

fn read(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}
