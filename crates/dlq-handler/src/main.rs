//! dlq-handler: archives dead letters, alerts, and replays by hand.

#![recursion_limit = "512"]

use std::process::ExitCode;

fn main() -> ExitCode {
    common::life::main(dlq_handler::PROGRAM, dlq_handler::run, dlq_handler::migrate)
}
