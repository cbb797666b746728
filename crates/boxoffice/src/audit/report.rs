use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::check::Check;
use super::in_flight::InFlight;

/// So many violations of an invariant are shown; all are counted.
pub const SAMPLES_MAX: usize = 20;

/// The verdict.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// One for each invariant, in their order.
    pub findings: Vec<Finding>,
    /// What the system holds: `orders.CONFIRMED`, `notifications.SENT`, …
    pub counts: BTreeMap<String, i64>,
    /// What was still in flight when the wait for quiet ended; absent when nobody waited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<InFlight>,
    #[serde(rename = "tookMs", serialize_with = "as_millis")]
    pub took: Duration,
}

/// One invariant and what breaks it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// `S1` to `S8`, `Q1` to `Q6`.
    pub id: &'static str,
    pub title: &'static str,
    pub outcome: Outcome,
    /// All of them.
    pub violations: u64,
    /// The first [`SAMPLES_MAX`].
    pub samples: Vec<Sample>,
}

/// Whether an invariant was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    Checked,
    /// With the reason.
    Skipped(&'static str),
}

/// One violation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// What it is about: an order, a payment, an event.
    pub subject: String,
    pub detail: String,
}

impl Report {
    /// Whether every invariant that was checked holds.
    pub fn is_clean(&self) -> bool {
        self.violations() == 0
    }

    /// Of all invariants.
    pub fn violations(&self) -> u64 {
        self.findings.iter().map(|finding| finding.violations).sum()
    }

    /// The ids of the invariants that are broken.
    pub fn broken(&self) -> Vec<&'static str> {
        let broken = self.findings.iter().filter(|finding| finding.violations > 0);
        broken.map(|finding| finding.id).collect()
    }
}

impl Finding {
    pub(super) fn clean(check: &Check) -> Self {
        Self {
            id: check.id,
            title: check.title,
            outcome: Outcome::Checked,
            violations: 0,
            samples: Vec::new(),
        }
    }

    pub(super) fn skipped(check: &Check, why: &'static str) -> Self {
        Self { outcome: Outcome::Skipped(why), ..Self::clean(check) }
    }

    /// Counts all and keeps as many as are shown.
    pub(super) fn add(&mut self, samples: Vec<Sample>) {
        self.violations += samples.len() as u64;
        let room = SAMPLES_MAX.saturating_sub(self.samples.len());
        self.samples.extend(samples.into_iter().take(room));
    }
}

impl Sample {
    pub(super) fn new(subject: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { subject: subject.into(), detail: detail.into() }
    }
}

fn as_millis<S: serde::Serializer>(took: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u128(took.as_millis())
}
