//! The sandbox provider as a process.

use std::io::stderr;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use sandbox::{Options, Sandbox};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// `EX_USAGE`: the command line or the environment is wrong.
const EXIT_USAGE: u8 = 64;

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).init();
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => {
            let asked = !error.use_stderr();
            let _nobody_reads = error.print();
            return if asked { ExitCode::SUCCESS } else { ExitCode::from(EXIT_USAGE) };
        }
    };
    match run(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs until SIGTERM or Ctrl-C; a second one ends the drain at once.
async fn run(options: Options) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let sandbox = Sandbox::start(options).await?;
    asked_to_stop(&mut terminate, &mut interrupt).await;
    tracing::info!("stopping");
    tokio::select! {
        () = sandbox.stop() => {}
        () = asked_to_stop(&mut terminate, &mut interrupt) => {}
    }
    Ok(())
}

async fn asked_to_stop(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
