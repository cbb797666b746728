use std::error::Error as _;
use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use devstack::paths::Paths;
use devstack::run_dir::Data;
use devstack::{Console, Error, guard, install};

mod bench;
mod chaos;
mod demo;
mod signals;
mod sim;
mod test;
mod up;

/// `EX_USAGE`.
const EXIT_USAGE: u8 = 64;
/// `EX_SOFTWARE`.
const EXIT_SOFTWARE: u8 = 70;

/// Private Apache RocketMQ, PostgreSQL and Redis on loopback, and the workers on top of them.
///
/// Ports are free ones, data is below the target directory, and all of it is gone when the
/// command ends. Several stacks run side by side.
#[derive(Debug, Parser)]
#[command(name = "cargo stack", bin_name = "cargo stack", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Finds the servers' programs, installs what is missing, and ends
    Install,
    /// Starts the servers, prints the variables that tests read, and waits for Ctrl-C
    Servers(up::Servers),
    /// Starts servers and workers, prints their addresses, and waits for Ctrl-C
    Up(up::Up),
    /// Sells out a show on real parts, reports and audits it, and waits for Ctrl-C
    Demo(demo::Demo),
    /// Measures the real stack, scenario by scenario, and audits it after each
    Bench(bench::Bench),
    /// Lets things happen to every part while a sale runs, and audits it after each
    Chaos(chaos::Order),
    /// Where the time goes under `saga`: a CPU profile of each worker, PostgreSQL's statements
    Profile(bench::Profile),
    /// Searches sales for a broken invariant, without servers: `--seed N`, or `--seeds N --first N`
    Sim(Sim),
    /// Runs the whole workspace's tests on real servers: `cargo stack test -- <cargo test's arguments>`
    Test(Test),
    /// Ends a process when whoever started it has ended
    #[command(hide = true)]
    Guard(guard::Order),
}

#[derive(Debug, clap::Args)]
struct Test {
    #[command(flatten)]
    keep: Keep,
    /// Passed on to `cargo test`; without any it tests the workspace
    #[arg(last = true)]
    arguments: Vec<OsString>,
}

#[derive(Debug, clap::Args)]
struct Sim {
    /// `--seed N` prints one run; `--seeds N` and `--first N` choose how many, and the first
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

#[derive(Debug, Clone, clap::Args)]
struct Keep {
    /// Leaves logs and data where they are when it ends
    #[arg(long)]
    keep: bool,
}

impl From<Keep> for Data {
    fn from(flag: Keep) -> Self {
        if flag.keep { Self::Keep } else { Self::Remove }
    }
}

/// Everything that the program does.
pub(crate) fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nothing can be done when even the terminal is gone.
            let _nobody_reads = error.print();
            return match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
                _ => ExitCode::from(EXIT_USAGE),
            };
        }
    };
    let console = Console::stderr();
    if let Command::Guard(order) = &cli.command {
        return guard::run(order);
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            console.line(format!("error: {error}"));
            return ExitCode::from(EXIT_SOFTWARE);
        }
    };
    match runtime.block_on(execute(cli.command, &console)) {
        Ok(code) => code,
        Err(error) => {
            console.line(format!("error: {}", chain(&error)));
            ExitCode::from(error.exit_code())
        }
    }
}

async fn execute(command: Command, console: &Console) -> Result<ExitCode, Error> {
    match command {
        Command::Install => {
            let tools = install::ensure(&Paths::find()?, console).await?;
            console.line(format!("PostgreSQL  {}", tools.postgres_binaries.display()));
            console.line(format!("Redis       {}", tools.redis_server.display()));
            console.line(format!("Java        {}", tools.java.display()));
            console.line(format!("RocketMQ    {}", tools.jars.display()));
            Ok(ExitCode::SUCCESS)
        }
        Command::Servers(order) => Box::pin(up::servers(order, console)).await,
        Command::Up(order) => Box::pin(up::up(order, console)).await,
        Command::Demo(order) => Box::pin(demo::demo(order, console)).await,
        Command::Bench(order) => Box::pin(bench::bench(order, console)).await,
        Command::Chaos(order) => Box::pin(chaos::chaos(order, console)).await,
        Command::Profile(order) => Box::pin(bench::profile(order, console)).await,
        Command::Sim(order) => sim::sim(order.arguments).await,
        Command::Test(order) => {
            Box::pin(test::test(order.arguments, order.keep.into(), console)).await
        }
        Command::Guard(_) => unreachable!("a guard needs no runtime"),
    }
}

/// The error and its sources, in one line.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}
