use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::buyers::Bought;
use super::fault::{Blow, Fault};
use super::strike::Done;
use super::tables::Tables;
use super::watch::Seen;

/// The sale goes on by itself within this after the part's return.
pub const GOES_ON_MAX: Duration = Duration::from_secs(10);
/// No order waits longer than this for a group to share its queues out again.
pub const STUCK_MAX: Duration = Duration::from_secs(10);
/// The limit of a worker's drain (`drain.drain_timeout_ms`).
const DRAIN_MAX: Duration = Duration::from_secs(20);
/// A rolling update may cost so much.
const P99_RATIO_MAX: f64 = 3.0;

/// What became of a sale.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    pub fault: Fault,
    /// From the blow until the part was back.
    pub away_s: f64,
    /// Until every worker that uses the part had said so in `/ready`.
    pub said_after_s: Option<f64>,
    /// From the part's return until `/ready` of every worker named nothing that is away.
    pub ready_after_s: Option<f64>,
    /// How long each worker took to end in order.
    pub drains_s: Vec<f64>,
    #[serde(flatten)]
    pub tables: Tables,
    pub buyers: u64,
    pub accepted: u64,
    /// Requests that were sent again: refused with 503, or without an answer.
    pub retries: u64,
    pub outcomes: BTreeMap<String, u64>,
    /// What is wrong; nothing when all is as it should be.
    pub wrong: Vec<String>,
}

impl Outcome {
    pub(super) fn of(
        fault: Fault,
        away: Duration,
        seen: Seen,
        done: Done,
        bought: Bought,
        tables: Tables,
        audit: Option<String>,
    ) -> Self {
        let mut wrong = Vec::new();
        wrong.extend(bought.lost());
        wrong.extend(audit.map(|found| format!("the audit: {found}")));
        wrong.extend(late(fault, &tables));
        if fault.dependency().is_some() && seen.said_after.is_none() {
            wrong.push("a worker did not say in /ready that the part was away".to_owned());
        }
        wrong.extend(costly(fault, &tables));
        if let Some(drain) = done.drains.iter().find(|drain| **drain > DRAIN_MAX) {
            wrong.push(format!("a worker took {:.1} s to end", drain.as_secs_f64()));
        }
        let seconds = |time: Duration| time.as_secs_f64();
        Self {
            fault,
            away_s: seconds(away),
            said_after_s: seen.said_after.map(seconds),
            ready_after_s: seen.ready_after.map(seconds),
            drains_s: done.drains.into_iter().map(seconds).collect(),
            tables,
            buyers: bought.buyers,
            accepted: bought.accepted,
            retries: bought.retries,
            outcomes: bought.outcomes,
            wrong,
        }
    }

    /// Whether all is as it should be.
    pub fn is_fine(&self) -> bool {
        self.wrong.is_empty()
    }
}

/// The sale has to go on soon.
fn late(fault: Fault, tables: &Tables) -> Option<String> {
    let limit = GOES_ON_MAX.as_secs_f64();
    match tables.goes_on_after_s {
        None => Some("no order that came after the part's return was confirmed".to_owned()),
        Some(after) if after > limit => Some(format!("the sale went on after {after:.1} s only")),
        // Connections were stranded from the blow on, so that is where the sale has to go on from.
        Some(_) if matches!(fault.blow(), Blow::Stranded(_)) && tables.stood_still_s > limit => {
            Some(format!("the sale stood still for {:.1} s", tables.stood_still_s))
        }
        Some(_) => None,
    }
}

/// Members that come and go cost little.
fn costly(fault: Fault, tables: &Tables) -> Option<String> {
    match fault.blow() {
        Blow::Added | Blow::Rolled if tables.longest_s > STUCK_MAX.as_secs_f64() => {
            Some(format!("an order was stuck for {:.1} s", tables.longest_s))
        }
        Blow::Rolled => {
            let (before, during) = (tables.p99_before_ms?, tables.p99_during_ms?);
            (during > P99_RATIO_MAX * before)
                .then(|| format!("p99 was {during:.0} ms, usually it is {before:.0} ms"))
        }
        _ => None,
    }
}
