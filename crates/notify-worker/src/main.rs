//! notify-worker: delivers notifications, each recorded once.

#![recursion_limit = "512"]

use std::process::ExitCode;

fn main() -> ExitCode {
    common::life::main(notify_worker::PROGRAM, notify_worker::run, notify_worker::migrate)
}
