//! `cargo stack bench` and `cargo stack profile`: how fast the real stack is, and why not faster.
//!
//! Each scenario has a stack of its own, with the release build and empty tables. The maximum of
//! an open-loop scenario is searched for by short runs, then measured by a long one; a rate counts
//! only if all that was offered was decided by the end of the run. Afterwards comes the audit: a
//! broken invariant leaves no figure.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::ValueEnum as _;
use devstack::run_dir::Data;
use devstack::workers::{Kind, Override};
use devstack::{Binaries, Console, Error, http};
use serde::Serialize;

use self::aged::Aged;
use self::driven::Run;
use self::machine::Machine;
use self::rig::{Load, Rig};
use self::scenario::{Drive, Figure, PLENTY, Scenario};
use self::search::{is_sustained, search};
use self::warm_up::warm_up;
use super::signals::Signals;
use super::up::EXIT_INTERRUPTED;

mod aged;
mod driven;
mod machine;
mod profile;
mod rig;
mod scenario;
mod search;
mod table;
mod usage;
mod warm_up;

pub(super) use self::profile::{Profile, profile};

/// A violated invariant, or a scenario that could not be measured.
const EXIT_VIOLATED: u8 = 1;
/// `overload`: how long one saga at a time is watched, and how long the peace before is.
const IDLE_S: u64 = 5;
/// How the final rate comes down when a long run does not sustain it.
const STEP_DOWN: f64 = 0.94;
const FINAL_TRIES: u32 = 5;
/// The provider answers at once and calls back at once.
const PROVIDER: &str = r#"{"capture_delay_ms": 0}"#;

#[derive(Debug, clap::Args)]
pub(super) struct Bench {
    /// What is measured; all of it without any
    #[arg(value_enum)]
    scenarios: Vec<Scenario>,
    /// How long each measurement takes, after warming up
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Orders a second; without it the maximum is searched for
    #[arg(long)]
    rate: Option<f64>,
    /// An earlier run's file: prints the ratios to it
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Two directories with programs (`target/release` of two checkouts): runs A B A B
    #[arg(long, num_args = 2, value_names = ["DIR", "DIR"], conflicts_with = "dev")]
    pair: Vec<PathBuf>,
    /// Finished orders in the tables of `aged`
    #[arg(long, default_value_t = 10_000_000)]
    aged_orders: u64,
    /// With the programs of this build, not optimised: for a look at the bench itself
    #[arg(long)]
    dev: bool,
    /// Sets a key of a worker's configuration; `all` for each worker
    #[arg(long = "set", value_name = "WORKER:SECTION.KEY=VALUE", value_parser = overrides)]
    overrides: Vec<Overrides>,
    /// Where the result is written, instead of below the target directory
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Leaves logs and data where they are
    #[arg(long)]
    keep: bool,
}

/// One key's new value, for one worker or for all.
#[derive(Debug, Clone)]
struct Overrides(Vec<Override>);

fn overrides(text: &str) -> Result<Overrides, String> {
    let parts = text.split_once(':').and_then(|(worker, rest)| {
        let (key, value) = rest.split_once('=')?;
        Some((worker, key, value))
    });
    let Some((worker, key, value)) = parts else {
        return Err("expected WORKER:SECTION.KEY=VALUE".to_owned());
    };
    let chosen = Kind::ALL.into_iter().filter(|kind| worker == "all" || kind.name() == worker);
    let all: Vec<Override> = chosen
        .map(|worker| Override { worker, key: key.to_owned(), value: value.to_owned() })
        .collect();
    if all.is_empty() { Err(format!("there is no worker {worker}")) } else { Ok(Overrides(all)) }
}

fn flat(overrides: &[Overrides]) -> Vec<Override> {
    overrides.iter().flat_map(|overrides| overrides.0.clone()).collect()
}

/// One scenario's measurement.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Measured {
    scenario: Scenario,
    /// `A` or `B` of a pair.
    #[serde(skip_serializing_if = "Option::is_none")]
    side: Option<char>,
    /// Orders a second that were offered; none in a closed loop.
    #[serde(skip_serializing_if = "Option::is_none")]
    offered_per_s: Option<f64>,
    /// What the scenario counts, a second.
    per_s: f64,
    run: Run,
    /// Before the run.
    machine: Machine,
    /// `overload`: one saga at a time, before and right after.
    #[serde(skip_serializing_if = "Option::is_none")]
    idle_ms: Option<[f64; 2]>,
}

/// Runs the scenarios, prints a table, writes the file.
pub(super) async fn bench(order: Bench, console: &Console) -> Result<ExitCode, Error> {
    let mut signals = Signals::new()?;
    match signals.unless(all(&order, console)).await {
        Some(done) => Ok(if done? { ExitCode::SUCCESS } else { ExitCode::from(EXIT_VIOLATED) }),
        None => {
            console.line("stopped");
            Ok(ExitCode::from(EXIT_INTERRUPTED))
        }
    }
}

async fn all(order: &Bench, console: &Console) -> Result<bool, Error> {
    let scenarios = match order.scenarios.as_slice() {
        [] => Scenario::value_variants(),
        some => some,
    };
    let sides: Vec<(Option<char>, Option<Binaries>)> = match order.pair.as_slice() {
        [a, b] => {
            let side = |name, dir: &PathBuf| (Some(name), Some(Binaries::In(dir.clone())));
            vec![side('A', a), side('B', b), side('A', a), side('B', b)]
        }
        _ if order.dev => vec![(None, None)],
        _ => vec![(None, Some(Binaries::Release))],
    };
    let mut results: Vec<Measured> = Vec::new();
    let mut clean = true;
    for &scenario in scenarios {
        for (side, binaries) in &sides {
            console.line(format!(
                "{}{}",
                scenario.name(),
                side.map(|side| format!(" {side}")).unwrap_or_default()
            ));
            let data = if order.keep { Data::Keep } else { Data::Remove };
            let set = flat(&order.overrides);
            let aged = match scenario {
                Scenario::Aged => Some(Aged::take(order.aged_orders)?),
                _ => None,
            };
            let rig =
                Rig::start(scenario, binaries.clone(), data, set, aged.as_ref(), console).await?;
            let saga = maximum_of_saga(&results, *side);
            let measured = measure(&rig, scenario, order, saga, console).await;
            let audited = rig.audit().await;
            rig.stop().await;
            if let (Some(aged), Ok(true)) = (aged, &audited) {
                aged.keep()?;
            }
            match (measured?, audited?) {
                (Some(measured), true) => {
                    table::one(console, &measured);
                    results.push(Measured { side: *side, ..measured });
                }
                (None, true) => clean = false,
                (_, false) => {
                    console.line("  an invariant is violated: no figure");
                    clean = false;
                }
            }
        }
    }
    let file = table::write(order.output.clone(), seconds_now(), &results)?;
    table::all(console, &results);
    if let Some(baseline) = &order.baseline {
        table::ratios(console, baseline, &results)?;
    }
    if !order.pair.is_empty() {
        table::pairs(console, &results);
    }
    console.line(format!("written to {}", file.display()));
    Ok(clean)
}

/// What `saga` could do in this invocation, for the scenarios that are a share of it.
fn maximum_of_saga(results: &[Measured], side: Option<char>) -> Option<f64> {
    results
        .iter()
        .find(|measured| measured.scenario == Scenario::Saga && measured.side == side)
        .map(|measured| measured.per_s)
}

/// None when it could not be measured, which was said.
async fn measure(
    rig: &Rig,
    scenario: Scenario,
    order: &Bench,
    saga: Option<f64>,
    console: &Console,
) -> Result<Option<Measured>, Error> {
    let load = Load {
        drive: scenario.drive(),
        wish: scenario.wish(),
        method: scenario.payment_method(),
        rate: order.rate.unwrap_or_else(|| scenario.first_rate()),
        seconds: order.seconds,
        seed: 1,
    };
    match scenario {
        Scenario::Mixed => return mixed(rig, order, console).await,
        Scenario::Overload => return overload(rig, load, order, saga, console).await,
        Scenario::SagaGateway => provider(rig).await?,
        _ => {}
    }
    warm_up(rig, load, console).await?;
    let measured = match load.drive {
        Drive::Closed { .. } => Some((rig.drive(load).await?, None)),
        Drive::Open | Drive::Messages if scenario == Scenario::Half => {
            let maximum = match saga {
                Some(maximum) => maximum,
                None => search(rig, scenario, load, console).await?,
            };
            let rate = order.rate.unwrap_or(maximum / 2.0);
            Some((rig.drive(Load { rate, ..load }).await?, Some(rate)))
        }
        Drive::Open | Drive::Messages if order.rate.is_some() => {
            Some((rig.drive(load).await?, Some(load.rate)))
        }
        Drive::Open | Drive::Messages => {
            let mut rate = search(rig, scenario, load, console).await?;
            let mut found = None;
            for _ in 0..FINAL_TRIES {
                let run = rig.drive(Load { rate, ..load }).await?;
                let sustained = is_sustained(scenario, &run);
                table::trial(console, scenario, rate, &run, sustained);
                if sustained {
                    found = Some((run, Some(rate)));
                    break;
                }
                rate *= STEP_DOWN;
            }
            found
        }
    };
    let Some((run, offered_per_s)) = measured else {
        console.line("  no rate was sustained");
        return Ok(None);
    };
    if !run.driven.decided || run.driven.errors > 0 {
        console.line(format!(
            "  not everything was decided in time; {} errors {:?}",
            run.driven.errors, run.driven.errors_told
        ));
        return Ok(None);
    }
    let per_s = figure(scenario, &run);
    let machine = rig.machine;
    Ok(Some(Measured { scenario, side: None, offered_per_s, per_s, run, machine, idle_ms: None }))
}

async fn provider(rig: &Rig) -> Result<(), Error> {
    let Some(workers) = &rig.stack.workers else { return Ok(()) };
    let address = workers.sandbox.api.trim_start_matches("http://");
    http::post(address, "/v1/control", &rig.stack.tokens.merchant_key, PROVIDER).await
}

/// What the scenario counts, a second.
fn figure(scenario: Scenario, run: &Run) -> f64 {
    let driven = &run.driven;
    let count = match scenario.figure() {
        Figure::Confirmed => driven.within.confirmed,
        Figure::Reserved => driven.within.reserved,
        Figure::Rejected => driven.within.rejected,
        Figure::Refused => {
            i64::try_from(driven.answers.get("409 sold_out").copied().unwrap_or_default())
                .unwrap_or(i64::MAX)
        }
        Figure::Heard => i64::try_from(driven.whole_ms.count).unwrap_or(i64::MAX),
    };
    count as f64 / driven.window_s as f64
}

/// The buyers of the demo, by the operator's load command.
async fn mixed(rig: &Rig, order: &Bench, console: &Console) -> Result<Option<Measured>, Error> {
    provider(rig).await?;
    let rate = order.rate.unwrap_or(500.0);
    let run = rig.mixed(rate, order.seconds).await?;
    let Some(run) = run else {
        console.line("  buyers are not accounted for");
        return Ok(None);
    };
    let scenario = Scenario::Mixed;
    let per_s = run.driven.accepted as f64 / run.driven.window_s as f64;
    Ok(Some(Measured {
        scenario,
        side: None,
        offered_per_s: Some(rate),
        per_s,
        run,
        machine: rig.machine,
        idle_ms: None,
    }))
}

/// Twice the maximum: what is too much is refused quickly, the rest goes on.
async fn overload(
    rig: &Rig,
    load: Load,
    order: &Bench,
    saga: Option<f64>,
    console: &Console,
) -> Result<Option<Measured>, Error> {
    let idle = Load { drive: Drive::Closed { callers: 1 }, seconds: IDLE_S, ..load };
    warm_up(rig, load, console).await?;
    let before = rig.drive(idle).await?;
    let maximum = match (order.rate, saga) {
        (Some(rate), _) => rate / 2.0,
        (None, Some(saga)) => saga,
        (None, None) => search(rig, Scenario::Saga, load, console).await?,
    };
    let rate = 2.0 * maximum;
    let run = rig.drive(Load { rate, seconds: 2 * order.seconds, ..load }).await?;
    // Five seconds of peace, then as fast as before.
    tokio::time::sleep(std::time::Duration::from_secs(IDLE_S)).await;
    let after = rig.drive(idle).await?;
    let idle_ms = [before, after].map(|run| run.driven.whole_ms.p50);
    let per_s = figure(Scenario::Saga, &run);
    console.line(format!(
        "  offered {rate:.0}/s: {per_s:.0}/s done ({:.0} % of {maximum:.0}/s), answers {:?}, \
         POST p50/p99 {:.1}/{:.1} ms; idle before/after {:.1}/{:.1} ms",
        100.0 * per_s / maximum,
        run.driven.answers,
        run.driven.answer_ms.p50,
        run.driven.answer_ms.p99,
        idle_ms[0],
        idle_ms[1]
    ));
    if !run.driven.decided || run.driven.errors > 0 {
        console.line(format!("  lost, or not decided in time: {:?}", run.driven.errors_told));
        return Ok(None);
    }
    Ok(Some(Measured {
        scenario: Scenario::Overload,
        side: None,
        offered_per_s: Some(rate),
        per_s,
        run,
        machine: rig.machine,
        idle_ms: Some(idle_ms),
    }))
}

#[expect(clippy::disallowed_methods, reason = "the name of a file")]
pub(super) fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The load of a profile: `saga` at a fixed rate.
fn saga_at(rate: f64, seconds: u64) -> Load {
    Load { drive: Drive::Open, wish: PLENTY, method: Some("instant"), rate, seconds, seed: 1 }
}
