//! The highest rate that is sustained.

use devstack::{Console, Error};

use super::driven::Run;
use super::rig::{Load, Rig, failed};
use super::scenario::{Drive, Figure, Scenario};
use super::table;

/// A short run of the search.
const TRIAL_S: u64 = 5;
/// The search for the maximum goes up by this, until a rate is too much.
const STEP_UP: f64 = 1.5;
/// And then halves the gap so often.
const BISECTIONS: u32 = 3;
/// What is left at the end of a sustained run is done within this time, or this share of it.
const DRAIN_MAX_S: f64 = 1.0;
const DRAIN_MAX_SHARE: f64 = 0.04;

/// Whether all that was offered was answered as it should be, and decided soon.
pub(super) fn is_sustained(scenario: Scenario, run: &Run) -> bool {
    let driven = &run.driven;
    let wanted = match (scenario.figure(), scenario.drive()) {
        (Figure::Refused, _) => "409 sold_out",
        (_, Drive::Messages) => "sent",
        _ => "202",
    };
    let drain_max = DRAIN_MAX_S.max(DRAIN_MAX_SHARE * driven.window_s as f64);
    driven.errors == 0
        && driven.answers.get(wanted) == Some(&driven.offered)
        && driven.decided
        && driven.drain_s <= drain_max
        // Requests that pile up at the door are a backlog, too.
        && driven.answer_ms.p99 <= 1_000.0 * drain_max
}

/// The highest rate that a short run sustains.
pub(super) async fn search(
    rig: &Rig,
    scenario: Scenario,
    load: Load,
    console: &Console,
) -> Result<f64, Error> {
    let (mut good, mut bad) = (0.0, None::<f64>);
    let mut rate = load.rate;
    let mut bisections = 0;
    while bisections < BISECTIONS {
        let run = rig.drive(Load { rate, seconds: TRIAL_S, ..load }).await?;
        let sustained = is_sustained(scenario, &run);
        table::trial(console, scenario, rate, &run, sustained);
        if sustained {
            good = rate;
        } else {
            bad = Some(rate);
        }
        rate = match bad {
            None => rate * STEP_UP,
            Some(bad) if good == 0.0 => bad / 2.0,
            Some(bad) => {
                bisections += 1;
                f64::midpoint(good, bad)
            }
        };
        if rate < 10.0 {
            return Err(failed("not even ten orders a second are decided in time".to_owned()));
        }
    }
    Ok(good)
}
