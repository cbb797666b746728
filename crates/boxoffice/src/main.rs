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
            let wanted = !error.use_stderr();
            return Ok(if wanted { ExitCode::SUCCESS } else { Failure::USAGE_EXIT.into() });
        }
    };
    // Some other part may have installed one; either will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("can't start")?;
    Ok(runtime.block_on(cli.run()))
}
