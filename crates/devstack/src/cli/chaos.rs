//! `cargo stack chaos`: a sale goes on whatever happens to its parts.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum as _;
use devstack::chaos::{Chaos, Fault, Outcome, Plan};
use devstack::paths::Paths;
use devstack::{Binaries, Console, Error};
use serde_json::json;

use super::Keep;
use super::signals::Signals;
use super::up::EXIT_INTERRUPTED;

/// Something is lost, doubled, or late.
const EXIT_VIOLATED: u8 = 1;

#[derive(Debug, clap::Args)]
pub(super) struct Order {
    /// What happens; all of it, one after the other, without any
    #[arg(value_enum)]
    faults: Vec<Fault>,
    /// Buyers a second
    #[arg(long, default_value_t = Plan::FULL.rate)]
    rate: f64,
    /// How long a part is away
    #[arg(long, value_name = "SECONDS", default_value_t = Plan::FULL.away.as_secs())]
    away: u64,
    /// How long connections are frozen
    #[arg(long, value_name = "SECONDS", default_value_t = Plan::FULL.frozen.as_secs())]
    frozen: u64,
    /// With the programs of this build, not optimised
    #[arg(long)]
    dev: bool,
    #[command(flatten)]
    keep: Keep,
}

/// Lets them happen, prints a table, writes the file.
pub(super) async fn chaos(order: Order, console: &Console) -> Result<ExitCode, Error> {
    let mut signals = Signals::new()?;
    match signals.unless(all(&order, console)).await {
        Some(fine) => Ok(if fine? { ExitCode::SUCCESS } else { ExitCode::from(EXIT_VIOLATED) }),
        None => {
            console.line("stopped");
            Ok(ExitCode::from(EXIT_INTERRUPTED))
        }
    }
}

async fn all(order: &Order, console: &Console) -> Result<bool, Error> {
    let faults = match order.faults.as_slice() {
        [] => Fault::value_variants(),
        some => some,
    };
    let binaries = (!order.dev).then_some(Binaries::Release);
    let plan = Plan {
        rate: order.rate,
        away: Duration::from_secs(order.away),
        frozen: Duration::from_secs(order.frozen),
        ..Plan::FULL
    };
    let data = order.keep.clone().into();
    let mut chaos = Box::pin(Chaos::start(binaries, data, Vec::new(), plan, console)).await?;
    console.line(HEADER);
    let mut outcomes = Vec::new();
    for &fault in faults {
        let outcome = Box::pin(chaos.run(fault)).await?;
        console.line(row(&outcome));
        for wrong in &outcome.wrong {
            console.line(format!("  WRONG: {wrong}"));
        }
        outcomes.push(outcome);
    }
    chaos.stop().await;
    console.line(format!("written to {}", write(&outcomes)?.display()));
    Ok(outcomes.iter().all(Outcome::is_fine))
}

const HEADER: &str = "\
FAULT               IN FLIGHT   AWAY   SAID  READY  GOES ON  CAUGHT UP  STILL   P99 ms BEFORE, DURING  ACCEPTED  AGAIN  AUDIT
                                   s  after  after    after      after      s                                            ";

fn row(outcome: &Outcome) -> String {
    let tables = &outcome.tables;
    let seconds =
        |time: Option<f64>| time.map_or_else(|| "-".to_owned(), |time| format!("{time:.1}"));
    let ms = |time: Option<f64>| time.map_or_else(|| "-".to_owned(), |time| format!("{time:.0}"));
    format!(
        "{:<20} {:>8} {:>6.1} {:>6} {:>6} {:>8} {:>10} {:>6.1} {:>15} {:>7}  {:>8} {:>6}  {}",
        outcome.fault.name(),
        tables.in_flight,
        outcome.away_s,
        seconds(outcome.said_after_s),
        seconds(outcome.ready_after_s),
        seconds(tables.goes_on_after_s),
        seconds(tables.caught_up_after_s),
        tables.stood_still_s,
        ms(tables.p99_before_ms),
        ms(tables.p99_during_ms),
        outcome.accepted,
        outcome.retries,
        if outcome.is_fine() { "clean" } else { "WRONG" },
    )
}

fn write(outcomes: &[Outcome]) -> Result<PathBuf, Error> {
    let directory = Paths::find()?.devstack.join("chaos");
    let what = format!("make {}", directory.display());
    fs::create_dir_all(&directory).map_err(|source| Error::Io { what, source })?;
    let file = directory.join(format!("{}.json", super::bench::seconds_now()));
    let text = serde_json::to_string_pretty(&json!({ "outcomes": outcomes }));
    let what = format!("write {}", file.display());
    fs::write(&file, text.expect("an outcome is always JSON"))
        .map_err(|source| Error::Io { what, source })?;
    Ok(file)
}
