//! What a run of load brought, as the load generators tell it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::usage::Used;

/// The part of a load generator's answer that is worked with; the rest is passed on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Driven {
    pub(super) window_s: u64,
    pub(super) offered: u64,
    pub(super) accepted: u64,
    pub(super) answers: BTreeMap<String, u64>,
    pub(super) errors: u64,
    pub(super) errors_told: Vec<String>,
    pub(super) answer_ms: Quantiles,
    pub(super) lateness_ms: Quantiles,
    pub(super) whole_ms: Quantiles,
    pub(super) within: Within,
    pub(super) statuses: BTreeMap<String, i64>,
    pub(super) decided: bool,
    pub(super) drain_s: f64,
    pub(super) steps: BTreeMap<String, Quantiles>,
    pub(super) commits: i64,
    pub(super) rows_written: i64,
    pub(super) wal_bytes: i64,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Quantiles {
    pub(super) count: u64,
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    pub(super) max: f64,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Within {
    pub(super) created: i64,
    pub(super) reserved: i64,
    pub(super) confirmed: i64,
    pub(super) rejected: i64,
}

/// One run of the load generator, and what the machine did meanwhile.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Run {
    pub(super) driven: Driven,
    pub(super) used: Used,
    /// Messages per batch, by consumer group (and `publish`), in this run.
    pub(super) batches: BTreeMap<String, f64>,
    pub(super) peak_memory_mb: BTreeMap<String, f64>,
}

/// The part of `boxoffice load`'s answer that is worked with.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Bought {
    buyers: u64,
    accepted: u64,
    outcomes: BTreeMap<String, u64>,
    steps: Vec<BoughtStep>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BoughtStep {
    name: String,
    count: u64,
    p50_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
    max_ms: f64,
}

impl Bought {
    pub(super) fn driven(self, seconds: u64) -> Driven {
        let none = Quantiles { count: 0, p50: 0.0, p99: 0.0, p999: 0.0, max: 0.0 };
        let mut steps: BTreeMap<String, Quantiles> = self
            .steps
            .into_iter()
            .map(|step| {
                let BoughtStep { name, count, p50_ms, p99_ms, p999_ms, max_ms } = step;
                (name, Quantiles { count, p50: p50_ms, p99: p99_ms, p999: p999_ms, max: max_ms })
            })
            .collect();
        Driven {
            window_s: seconds,
            offered: self.buyers,
            accepted: self.accepted,
            answers: self.outcomes,
            errors: 0,
            errors_told: Vec::new(),
            answer_ms: steps.remove("accepted").unwrap_or(none),
            lateness_ms: steps.remove("arrival_lag").unwrap_or(none),
            whole_ms: none,
            within: Within { created: 0, reserved: 0, confirmed: 0, rejected: 0 },
            statuses: BTreeMap::new(),
            decided: true,
            drain_s: 0.0,
            steps,
            commits: 0,
            rows_written: 0,
            wal_bytes: 0,
        }
    }
}
