//! `cargo stack demo`: a whole sale on real parts, and its audit.
//!
//! The demo drives the workers as an operator and as buyers would: with the `boxoffice` command
//! line, whose live funnel, report and audit are what you see.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use devstack::console::answer;
use devstack::workers::{Kind, Override, Worker};
use devstack::{Console, Error, Options, Stack, command, http};
use tokio::process::Command;

use super::Keep;
use super::signals::Signals;
use super::up::{EXIT_INTERRUPTED, report_crashes};

/// The show: 10,000 tickets of three types, held for a short time.
pub(super) const SHOW: &str = "deploy/samples/demo.toml";
pub(super) const SESSION: &str = "1";
/// Ticket type, weight, the most one buyer takes.
const TICKETS: [&str; 3] = ["11:6:2", "12:3:2", "13:1:1"];
/// What buyers do, by weight.
const BEHAVIOURS: [&str; 8] = [
    "pay-at-once:50",
    "pay-later:15",
    "pay-twice:5",
    "cancel-pending:5",
    "cancel-reserved:8",
    "walk-away:8",
    "pay-too-late:5",
    "decline:4",
];
/// Some of what a payment provider may do: each event again, late captures, a little disorder.
const PROVIDER: &str = r#"{"capture_delay_ms": 50, "late_capture_ms": 20000,
    "capture_after_close": true, "duplicate_ratio": 0.05, "forge_ratio": 0.01}"#;
/// Everything has been decided and delivered by then, or something is wrong.
const QUIET_MAX_S: &str = "90";
/// How long the first sale takes to reach order-worker.
const READY_MAX: Duration = Duration::from_secs(30);

/// The demo's exit code when the audit is not clean.
const EXIT_VIOLATED: u8 = 1;

#[derive(Debug, clap::Args)]
pub(super) struct Demo {
    #[command(flatten)]
    keep: Keep,
    /// Ends by itself after the report; exit code 0 only when the audit is clean
    #[arg(long)]
    exit: bool,
    /// How many buyers come
    #[arg(long, default_value_t = 20_000)]
    buyers: u64,
    /// Within how many seconds they come
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    within: u64,
}

/// Sells out a show, then stays up until Ctrl-C.
pub(super) async fn demo(order: Demo, console: &Console) -> Result<ExitCode, Error> {
    let mut signals = Signals::new()?;
    let options = Options {
        data: order.keep.clone().into(),
        console: console.clone(),
        overrides: overrides(),
        ..Options::default()
    };
    let Some(stack) = signals.unless(Stack::start(options)).await else {
        console.line("stopped before it was ready");
        return Ok(ExitCode::from(EXIT_INTERRUPTED));
    };
    let stack = stack?;
    let Some(clean) = signals.unless(sell(&stack, &order, console)).await else {
        console.line("stopping");
        stack.stop().await;
        return Ok(ExitCode::from(EXIT_INTERRUPTED));
    };
    let clean = clean?;
    if !order.exit {
        answer(&format!("source {}", stack.write_environment_file()?.display()));
        console.line("it stays up with these addresses; Ctrl-C ends it");
        signals.unless(report_crashes(&stack, console)).await;
    }
    console.line("stopping");
    stack.stop().await;
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::from(EXIT_VIOLATED) })
}

/// Orders expire quickly, so that the whole demo is short.
pub(super) fn overrides() -> Vec<Override> {
    [("orders.grace_s", "2"), ("orders.jitter_s", "1"), ("expiry.sweep_interval_ms", "200")]
        .map(|(key, value)| Override {
            worker: Kind::Order,
            key: key.to_owned(),
            value: value.to_owned(),
        })
        .into()
}

/// True when every buyer is accounted for and the audit is clean.
async fn sell(stack: &Stack, order: &Demo, console: &Console) -> Result<bool, Error> {
    let since = Instant::now();
    let Some(workers) = &stack.workers else { return Ok(false) };
    let provider = workers.sandbox.api.trim_start_matches("http://");
    http::post(provider, "/v1/control", &stack.tokens.merchant_key, PROVIDER).await?;
    let show: PathBuf = stack.paths.workspace.join(SHOW);
    let mut load = boxoffice(stack);
    load.args(["show", "load"]).arg(show);
    let mut open = boxoffice(stack);
    open.args(["sale", "open", SESSION]);
    for (what, command) in [("loading the show", &mut load), ("opening the sale", &mut open)] {
        if !run(what, command, console).await? {
            return Ok(false);
        }
    }
    until_ready(&workers.order).await?;
    let mut load = boxoffice(stack);
    buyers(&mut load, order.buyers, order.within);
    let accounted_for = run("the sale", &mut load, console).await?;
    let mut audit = boxoffice(stack);
    audit.args(["audit", "--wait-quiet", QUIET_MAX_S]);
    let clean = run("the audit", &mut audit, console).await?;
    console.line(format!("the demo took {:.0} s", since.elapsed().as_secs_f64()));
    Ok(accounted_for && clean)
}

/// Lets `count` buyers loose `within` so many seconds: the arguments of `boxoffice`.
pub(super) fn buyers(load: &mut Command, count: u64, within: u64) {
    load.args(["load", "--session", SESSION]);
    load.args(["--buyers", &count.to_string(), "--within", &within.to_string()]);
    for ticket in TICKETS {
        load.args(["--ticket", ticket]);
    }
    for behaviour in BEHAVIOURS {
        load.args(["--behaviour", behaviour]);
    }
}

/// The operator's command line, told where everything is.
fn boxoffice(stack: &Stack) -> Command {
    let mut command = Command::new(stack.paths.binary("boxoffice"));
    command.envs(stack.operator_environment());
    command
}

/// Runs a step with its output on this terminal; false when it found something wrong.
async fn run(what: &str, step: &mut Command, console: &Console) -> Result<bool, Error> {
    console.line(format!("--- {what}"));
    let status = command::show(what, step).await?;
    if !status.success() {
        console.line(format!("{what}: {status}"));
    }
    Ok(status.success())
}

/// order-worker is ready once it knows a sale.
async fn until_ready(order: &Worker) -> Result<(), Error> {
    let address = order.admin.trim_start_matches("http://");
    order.process.ready(READY_MAX, || http::is_ok(address, "/ready")).await
}
