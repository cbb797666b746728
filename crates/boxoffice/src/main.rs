//! The operator's command line; `boxoffice --help` says what it can do.

use std::process::ExitCode;

use anyhow::Context as _;
use boxoffice::cli::{Cli, Failure};
use clap::Parser as _;

fn main() -> anyhow::Result<ExitCode> {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            error.print().context("can't print")?;
            return Ok(if error.use_stderr() { Failure::USAGE_EXIT.into() } else { 0.into() });
        }
    };
    // Some other part may have installed one; either will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("can't start")?;
    Ok(runtime.block_on(cli.run()))
}
