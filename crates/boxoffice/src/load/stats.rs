use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;

use super::Outcome;
use super::progress::Phase;
use super::view::{View, between};

/// Three significant digits up to an hour, in µs.
const HIGHEST_US: u64 = 3_600_000_000;
const DIGITS: u8 = 3;
/// So many unknown outcomes are told.
const UNKNOWN_TOLD_MAX: usize = 20;

/// What is measured, in the order of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timed {
    /// From when the buyer was to arrive to the answer.
    Accepted,
    /// As above, for a refusal at the door.
    Refused,
    CreatedToReserved,
    ReservedToPaid,
    PaidToConfirmed,
    CreatedToConfirmed,
    /// How late the generator itself was.
    Arrival,
}

impl Timed {
    pub(super) const ALL: [Self; 7] = [
        Self::Accepted,
        Self::Refused,
        Self::CreatedToReserved,
        Self::ReservedToPaid,
        Self::PaidToConfirmed,
        Self::CreatedToConfirmed,
        Self::Arrival,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::CreatedToReserved => "created_to_reserved",
            Self::ReservedToPaid => "reserved_to_paid",
            Self::PaidToConfirmed => "paid_to_confirmed",
            Self::CreatedToConfirmed => "created_to_confirmed",
            Self::Arrival => "arrival_lag",
        }
    }
}

/// Everything that is counted; shared by all buyers.
pub(super) struct Stats {
    pub(super) arrived: AtomicU64,
    pub(super) accepted: AtomicU64,
    pub(super) requests: AtomicU64,
    pub(super) retries: AtomicU64,
    pub(super) repeats: AtomicU64,
    phases: [AtomicI64; Phase::ALL.len()],
    outcomes: Mutex<BTreeMap<String, u64>>,
    unknown: Mutex<Vec<String>>,
    times: [Mutex<Histogram<u64>>; Timed::ALL.len()],
}

impl Stats {
    pub(super) fn new() -> Self {
        let histogram =
            || Histogram::new_with_max(HIGHEST_US, DIGITS).expect("the bounds are ones it takes");
        Self {
            arrived: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            repeats: AtomicU64::new(0),
            phases: Default::default(),
            outcomes: Mutex::default(),
            unknown: Mutex::default(),
            times: std::array::from_fn(|_| Mutex::new(histogram())),
        }
    }

    pub(super) fn arrived(&self, lag: Duration) {
        add(&self.arrived);
        self.time(Timed::Arrival, lag);
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.phases[phase as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn leave(&self, phase: Phase) {
        self.phases[phase as usize].fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn in_phase(&self, phase: Phase) -> u64 {
        self.phases[phase as usize].load(Ordering::Relaxed).max(0).unsigned_abs()
    }

    pub(super) fn time(&self, what: Timed, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        lock(&self.times[what as usize]).saturating_record(us);
    }

    pub(super) fn histogram(&self, what: Timed) -> MutexGuard<'_, Histogram<u64>> {
        lock(&self.times[what as usize])
    }

    /// The steps of an order, from its own times.
    pub(super) fn steps(&self, view: &View) {
        let steps = [
            (Timed::CreatedToReserved, Some(view.created_at), view.reserved_at),
            (Timed::ReservedToPaid, view.reserved_at, view.paid_at),
            (Timed::PaidToConfirmed, view.paid_at, view.confirmed_at),
            (Timed::CreatedToConfirmed, Some(view.created_at), view.confirmed_at),
        ];
        for (what, from, to) in steps {
            if let (Some(from), Some(to)) = (from, to) {
                self.time(what, between(from, to));
            }
        }
    }

    pub(super) fn ended(&self, outcome: &Outcome) {
        *lock(&self.outcomes).entry(outcome.name().into_owned()).or_insert(0) += 1;
        if let Outcome::Unknown(why) = outcome {
            let mut told = lock(&self.unknown);
            if told.len() < UNKNOWN_TOLD_MAX {
                told.push(why.clone());
            }
        }
    }

    pub(super) fn outcomes(&self) -> BTreeMap<String, u64> {
        lock(&self.outcomes).clone()
    }

    pub(super) fn unknown(&self) -> Vec<String> {
        lock(&self.unknown).clone()
    }
}

pub(super) fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

pub(super) fn read(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
