//! stock-worker as a process.

#![recursion_limit = "512"]

use std::process::ExitCode;
use std::sync::Arc;

use bus_rocketmq::{RocketBus, RocketConfig};
use common::life::{self, Failure, Life, Program};
use stock_worker::config::Config;
use stock_worker::worker;

const PROGRAM: Program = Program {
    name: env!("CARGO_PKG_NAME"),
    version: env!("CARGO_PKG_VERSION"),
    about: "Holds, sells and releases tickets",
};

fn main() -> ExitCode {
    life::main(PROGRAM, run, worker::migrate)
}

async fn run(config: Config, life: Life) -> Result<(), Failure> {
    let bus = RocketBus::connect(RocketConfig::of(&config.broker, PROGRAM.name)).await?;
    Box::pin(worker::run(config, life, Arc::new(bus))).await
}
