//! The life of a process: flags, configuration, logs, run, ordered drain, exit code.
//!
//! ```no_run
//! # use common::life::{self, Life, Program};
//! # #[derive(Default, serde::Serialize, serde::Deserialize)] struct Config;
//! # impl common::config::Validate for Config { fn validate(&self) -> Vec<String> { vec![] } }
//! # impl life::Settings for Config {
//! #     fn log(&self) -> &common::config::LogConfig { unimplemented!() }
//! #     fn drain(&self) -> &common::config::DrainConfig { unimplemented!() }
//! # }
//! async fn run(config: Config, life: Life) -> Result<(), life::Failure> {
//!     // build; then
//!     life.stopping().await;
//!     // drain, in order
//!     Ok(())
//! }
//! async fn migrate(config: Config) -> Result<(), life::Failure> {
//!     Ok(())
//! }
//! fn main() -> std::process::ExitCode {
//!     let program = Program { name: "x-worker", version: "1", about: "does x" };
//!     life::main(program, run, migrate)
//! }
//! ```

use std::error::Error;
use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::{self, ConfigError, DrainConfig, LogConfig, Validate};
use crate::readiness::Readiness;
use crate::telemetry;

mod cli;
mod tasks;

pub use cli::{Cli, Command};
pub use tasks::Tasks;

/// Why a worker ended; the whole chain is logged.
pub type Failure = Box<dyn Error + Send + Sync>;

/// How often histograms are folded when nobody asks for metrics.
const METRICS_UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Ok = 0,
    /// The configuration is wrong (`EX_USAGE`).
    Configuration = 64,
    /// Something broke (`EX_SOFTWARE`).
    Internal = 70,
    /// The drain took longer than `drain_timeout_ms`, or a second signal came (`EX_TEMPFAIL`).
    DrainTimedOut = 75,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What a binary is.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    pub name: &'static str,
    pub version: &'static str,
    /// One line for `--help`.
    pub about: &'static str,
}

/// A worker's whole configuration.
pub trait Settings: DeserializeOwned + Serialize + Default + Validate + Send + 'static {
    fn log(&self) -> &LogConfig;
    fn drain(&self) -> &DrainConfig;
}

/// What a running worker is given.
#[derive(Debug, Clone)]
pub struct Life {
    /// `name/version`, as the envelope's `producer`.
    pub producer: String,
    pub readiness: Readiness,
    pub metrics: PrometheusHandle,
    pub tasks: Tasks,
}

impl Life {
    /// For tests, and for whoever runs a worker inside another process.
    pub fn new(program: Program) -> Self {
        Self {
            producer: format!("{}/{}", program.name, program.version),
            readiness: Readiness::new(program.name),
            metrics: telemetry::init_metrics(),
            tasks: Tasks::new(),
        }
    }

    /// Returns when the process is asked to end; the worker is not ready from then on.
    pub async fn stopping(&self) {
        self.tasks.stop.cancelled().await;
        self.readiness.draining();
    }

    /// Cancelled when the process is asked to end.
    pub fn stop(&self) -> CancellationToken {
        self.tasks.stop.clone()
    }
}

/// Reads flags and configuration, then runs, migrates or prints. All of a worker's `main`.
pub fn main<C, R, M>(
    program: Program,
    run: impl FnOnce(C, Life) -> R,
    migrate: impl FnOnce(C) -> M,
) -> ExitCode
where
    C: Settings,
    R: Future<Output = Result<(), Failure>>,
    M: Future<Output = Result<(), Failure>>,
{
    execute(program, std::env::args_os(), run, migrate).into()
}

/// As [`main`], with the arguments given: the first is the program's name.
pub fn execute<C, R, M>(
    program: Program,
    arguments: impl IntoIterator<Item = OsString>,
    run: impl FnOnce(C, Life) -> R,
    migrate: impl FnOnce(C) -> M,
) -> Exit
where
    C: Settings,
    R: Future<Output = Result<(), Failure>>,
    M: Future<Output = Result<(), Failure>>,
{
    let cli = match Cli::read(program, arguments) {
        Ok(cli) => cli,
        Err(exit) => return exit,
    };
    let command = cli.command.unwrap_or_default();
    if command == Command::ConfigReference {
        return cli::print(config::to_toml(&C::default()));
    }
    let settings = match config::load::<C>(cli.config.as_deref(), &cli.set) {
        Ok(settings) => settings,
        Err(error) => return cli::complain(program, &error),
    };
    if command == Command::CheckConfig {
        return cli::print(config::to_toml(&settings));
    }
    if let Err(error) = telemetry::init_logs(settings.log()) {
        return cli::complain(program, &error);
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return ended(program, Err(error.into())),
    };
    let exit = runtime.block_on(async {
        match command {
            Command::Migrate => ended(program, Box::pin(migrate(settings)).await),
            _ => live(program, settings, run).await,
        }
    });
    // What is left are tasks that a timed-out drain gave up; don't wait for them.
    runtime.shutdown_background();
    exit
}

async fn live<C: Settings, R: Future<Output = Result<(), Failure>>>(
    program: Program,
    settings: C,
    run: impl FnOnce(C, Life) -> R,
) -> Exit {
    let life = Life::new(program);
    let limit = Duration::from_millis(settings.drain().drain_timeout_ms);
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return ended(program, Err(error.into())),
    };
    life.tasks.spawn("metrics-upkeep", upkeep(life.metrics.clone(), life.stop()));
    tracing::info!("{} starts", life.producer);
    let mut work = Box::pin(run(settings, life.clone()));
    tokio::select! {
        done = &mut work => {
            if done.is_ok() && !life.tasks.stop.is_cancelled() {
                return ended(program, Err("it ended without being asked to".into()));
            }
            return ended(program, unless_panicked(&life, done));
        }
        () = signals.next() => tracing::info!("asked to end: draining, at most {limit:?}"),
        () = life.tasks.stop.cancelled() => {}
    }
    life.readiness.draining();
    life.tasks.stop.cancel();
    tokio::select! {
        done = &mut work => {
            ended(program, unless_panicked(&life, done))
        }
        () = tokio::time::sleep(limit) => {
            tracing::error!("the drain took longer than {limit:?}: what was in hand comes again");
            Exit::DrainTimedOut
        }
        () = signals.next() => {
            tracing::warn!("asked to end again: ends at once");
            Exit::DrainTimedOut
        }
    }
}

/// A background task that panicked is what ended the worker, whatever `run` says.
fn unless_panicked(life: &Life, done: Result<(), Failure>) -> Result<(), Failure> {
    match life.tasks.failed() {
        Some(task) => Err(format!("task {task} panicked").into()),
        None => done,
    }
}

fn ended(program: Program, done: Result<(), Failure>) -> Exit {
    let Err(error) = done else {
        tracing::info!("{} ended", program.name);
        return Exit::Ok;
    };
    if let Some(wrong) = error.downcast_ref::<ConfigError>() {
        return cli::complain(program, wrong);
    }
    tracing::error!(error = chain(&*error), "{} failed", program.name);
    Exit::Internal
}

/// The error and its sources, in one line.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

async fn upkeep(metrics: PrometheusHandle, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(METRICS_UPKEEP_INTERVAL)).await.is_some() {
        metrics.run_upkeep();
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
