use std::process::ExitCode;

use devstack::console::answer;
use devstack::workers::{Kind, Workers};
use devstack::{Console, Error, Options, Parts, Stack};

use super::Keep;
use super::signals::Signals;

/// What shells answer for a program that SIGINT ended.
pub(super) const EXIT_INTERRUPTED: u8 = 130;

#[derive(Debug, clap::Args)]
pub(super) struct Servers {
    #[command(flatten)]
    keep: Keep,
}

#[derive(Debug, clap::Args)]
pub(super) struct Up {
    #[command(flatten)]
    keep: Keep,
    /// Ends by itself as soon as everything is ready
    #[arg(long)]
    exit_after_ready: bool,
}

/// Servers only, for tests that are started by hand.
pub(super) async fn servers(order: Servers, console: &Console) -> Result<ExitCode, Error> {
    let options = Options {
        parts: Parts::Servers,
        data: order.keep.into(),
        console: console.clone(),
        ..Options::default()
    };
    run(options, console, Until::Signal).await
}

/// Servers and workers.
pub(super) async fn up(order: Up, console: &Console) -> Result<ExitCode, Error> {
    let options =
        Options { data: order.keep.into(), console: console.clone(), ..Options::default() };
    let until = if order.exit_after_ready { Until::Ready } else { Until::Signal };
    run(options, console, until).await
}

#[derive(PartialEq, Eq)]
enum Until {
    Ready,
    Signal,
}

async fn run(options: Options, console: &Console, until: Until) -> Result<ExitCode, Error> {
    let mut signals = Signals::new()?;
    let Some(stack) = signals.unless(Stack::start(options)).await else {
        console.line("stopped before it was ready");
        return Ok(ExitCode::from(EXIT_INTERRUPTED));
    };
    let stack = stack?;
    let file = stack.write_environment_file()?;
    for (name, value) in stack.test_environment() {
        answer(&format!("export {name}={value}"));
    }
    if let Some(workers) = &stack.workers {
        console.line(format!("admin ports: {}", admin_ports(workers)));
        console.line(format!("another shell drives it after: source {}", file.display()));
    }
    if until == Until::Signal {
        console.line("ready; Ctrl-C ends it");
        signals.unless(report_crashes(&stack, console)).await;
    }
    console.line("stopping");
    match signals.unless(stack.stop()).await {
        Some(()) => Ok(ExitCode::SUCCESS),
        // The second Ctrl-C: dropping the stack has ended what was left.
        None => Ok(ExitCode::from(EXIT_INTERRUPTED)),
    }
}

/// Where `/ready` and `/metrics` of each worker are.
fn admin_ports(workers: &Workers) -> String {
    let ports = Kind::ALL.map(|kind| format!("{} {}", kind.name(), workers.get(kind).admin));
    ports.join(", ")
}

/// Tells of each process that ends by itself; never returns.
pub(super) async fn report_crashes(stack: &Stack, console: &Console) {
    let mut known = Vec::new();
    loop {
        let crash = stack.crash(&known).await;
        console.line(crash.to_string());
        known.push(crash.name);
    }
}
