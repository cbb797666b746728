//! `cargo stack`: private servers, the workers, and the tests that need them.

use std::process::ExitCode;

mod cli;

fn main() -> ExitCode {
    cli::run()
}
