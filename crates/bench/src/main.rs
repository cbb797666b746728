//! The load of `cargo stack bench`: drives a running stack and prints one JSON document.
//!
//! Unlike the buyers of `boxoffice load`, who behave like people, this sends one kind of request
//! with as little work as possible, so that two cores are left to what is measured. What became
//! of the orders is read from the tables once they are all decided.

use clap::Parser as _;

mod cli;
mod closed;
mod http;
mod messages;
mod open;
mod report;
mod schedule;
mod tables;
mod times;

use cli::{Cli, Target};

// One thread: what the load itself uses is taken from what is measured.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    Cli::parse().run().await
}
