use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::stats::read;
use super::{Lag, Shared};

/// What a buyer is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// The order is sent.
    Ordering,
    /// It is accepted; tickets are not reserved yet.
    Waiting,
    /// Tickets are reserved.
    Holding,
    /// Has paid, in one way or two.
    Paying,
    /// Has cancelled, or has let the time run out.
    Leaving,
}

impl Phase {
    /// In the order of the funnel.
    pub const ALL: [Self; 5] =
        [Self::Ordering, Self::Waiting, Self::Holding, Self::Paying, Self::Leaving];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ordering => "ordering",
            Self::Waiting => "waiting",
            Self::Holding => "holding",
            Self::Paying => "paying",
            Self::Leaving => "leaving",
        }
    }
}

/// The funnel at one moment.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    #[serde(rename = "elapsedMs", serialize_with = "as_millis")]
    pub elapsed: Duration,
    /// All that will come.
    pub buyers: u64,
    pub arrived: u64,
    pub accepted: u64,
    pub ended: u64,
    /// How many are at what.
    pub phases: BTreeMap<Phase, u64>,
    /// How it ended for the others.
    pub outcomes: BTreeMap<String, u64>,
    pub requests: u64,
    /// Requests sent again because there was no answer, or none for good.
    pub retries: u64,
    /// Since the start.
    pub arrivals_per_second: f64,
    /// Since the start.
    pub requests_per_second: f64,
    /// How far the workers are behind.
    pub lag: Lag,
}

impl Shared {
    pub(super) fn progress(&self) -> Progress {
        let elapsed = self.started.elapsed();
        let per_second = |count: u64| count as f64 / elapsed.as_secs_f64().max(f64::EPSILON);
        let outcomes = self.stats.outcomes();
        let (arrived, requests) = (read(&self.stats.arrived), read(&self.stats.requests));
        Progress {
            elapsed,
            buyers: self.plan.buyers,
            arrived,
            accepted: read(&self.stats.accepted),
            ended: outcomes.values().sum(),
            phases: Phase::ALL
                .into_iter()
                .map(|phase| (phase, self.stats.in_phase(phase)))
                .collect(),
            outcomes,
            requests,
            retries: read(&self.stats.retries),
            arrivals_per_second: per_second(arrived),
            requests_per_second: per_second(requests),
            lag: *self.lag.borrow(),
        }
    }
}

pub(super) fn as_millis<S: serde::Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u128(time.as_millis())
}
