//! The World from the command line.

use std::process::ExitCode;

use clap::Parser as _;
use world::cli::Cli;

fn main() -> std::io::Result<ExitCode> {
    Cli::parse().run(&mut std::io::stdout().lock())
}
