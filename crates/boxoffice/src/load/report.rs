use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::Shared;
use super::progress::as_millis;
use super::stats::{Timed, read};

const US_PER_MS: f64 = 1_000.0;

/// How it went for all of them.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Who came: all of the plan, unless the doors were closed before.
    pub buyers: u64,
    /// Orders that were accepted.
    pub accepted: u64,
    /// Every buyer, under exactly one of: `confirmed`, `sold_out`, `rejected_other`, `cancelled`,
    /// `expired`, `refunded`, `refused_<code>`, `unknown`.
    pub outcomes: BTreeMap<String, u64>,
    /// What is known of the first unknown outcomes.
    pub unknown: Vec<String>,
    /// How long the steps took, as the buyers saw it or as the orders' own times say.
    pub steps: Vec<Step>,
    pub requests: u64,
    /// Requests sent again because there was no answer, or none for good.
    pub retries: u64,
    /// Orders sent twice under one key, on purpose.
    pub repeats: u64,
    #[serde(rename = "tookMs", serialize_with = "as_millis")]
    pub took: Duration,
}

/// The distribution of one time.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// `accepted` and `refused` (from when the buyer was to arrive), `created_to_reserved`,
    /// `reserved_to_paid`, `paid_to_confirmed`, `created_to_confirmed`, and `arrival_lag`: how
    /// late the generator itself was.
    pub name: &'static str,
    pub count: u64,
    pub mean_ms: f64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    pub max_ms: f64,
}

impl Report {
    /// How many ended so.
    pub fn outcome(&self, name: &str) -> u64 {
        self.outcomes.get(name).copied().unwrap_or_default()
    }

    /// Whether every buyer is counted and each outcome is known.
    pub fn is_accounted_for(&self) -> bool {
        self.outcomes.values().sum::<u64>() == self.buyers && self.outcome("unknown") == 0
    }

    /// One step's distribution.
    pub fn step(&self, name: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.name == name)
    }
}

impl Shared {
    /// When all of the `buyers` who came have ended.
    pub(super) fn report(&self, buyers: u64) -> Report {
        Report {
            buyers,
            accepted: read(&self.stats.accepted),
            outcomes: self.stats.outcomes(),
            unknown: self.stats.unknown(),
            steps: Timed::ALL.into_iter().map(|what| self.step(what)).collect(),
            requests: read(&self.stats.requests),
            retries: read(&self.stats.retries),
            repeats: read(&self.stats.repeats),
            took: self.started.elapsed(),
        }
    }

    fn step(&self, what: Timed) -> Step {
        let histogram = self.stats.histogram(what);
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / US_PER_MS;
        Step {
            name: what.name(),
            count: histogram.len(),
            mean_ms: histogram.mean() / US_PER_MS,
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: histogram.max() as f64 / US_PER_MS,
        }
    }
}
