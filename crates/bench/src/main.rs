//! The load of `cargo stack bench`: drives a running stack and prints one JSON document.
//!
//! Unlike the buyers of `boxoffice load`, who behave like people, this sends one kind of request
//! with as little work as possible, so that two cores are left to what is measured. What became
//! of the orders is read from the tables once they are all decided.

use std::time::Duration;

use clap::{Args, Parser, Subcommand};

mod closed;
mod http;
mod messages;
mod open;
mod report;
mod schedule;
mod tables;
mod times;

/// Drives a running stack at a fixed rate, or with so many callers, and prints what it measured.
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
struct Cli {
    #[command(subcommand)]
    mode: Mode,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// Open loop: `POST /v1/orders` at times fixed in advance
    Open(open::Arguments),
    /// Closed loop: each connection posts an order and waits for its end before the next one
    Closed(closed::Arguments),
    /// Open loop: `ORDER_CREATE` messages at times fixed in advance
    Messages(messages::Arguments),
}

/// Where the load goes, and what is ordered.
#[derive(Debug, Clone, Args)]
struct Target {
    /// APIs of order-worker, used in turn
    #[arg(long, env = "BOXOFFICE_ORDER_URL", value_delimiter = ',', required = true)]
    order_url: Vec<String>,
    #[arg(long, env = "BOXOFFICE_TOKEN", hide_env_values = true)]
    token: String,
    /// PostgreSQL, as a role that may read all schemas
    #[arg(long, env = "BOXOFFICE_DATABASE_URL", hide_env_values = true)]
    database_url: String,
    /// RocketMQ's name server, for messages
    #[arg(long, env = "BOXOFFICE_NAME_SERVER", default_value = "127.0.0.1:9876")]
    name_server: String,
    #[arg(long)]
    session: i64,
    #[arg(long)]
    ticket: i64,
    #[arg(long, default_value_t = 1)]
    quantity: i32,
    /// Without it orders are only reserved
    #[arg(long)]
    payment_method: Option<String>,
    /// How long orders are sent
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// How long what is left may take afterwards
    #[arg(long, default_value_t = 60)]
    drain_seconds: u64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Target {
    fn window(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

// One thread: what the load itself uses is taken from what is measured.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let Cli { mode, target } = Cli::parse();
    let tables = tables::Tables::open(&target.database_url).await?;
    let sent = match mode {
        Mode::Open(arguments) => open::run(&target, &arguments, &tables).await?,
        Mode::Closed(arguments) => closed::run(&target, &arguments, &tables).await?,
        Mode::Messages(arguments) => messages::run(&target, &arguments, &tables).await?,
    };
    let limit = Duration::from_secs(target.drain_seconds);
    let report = report::Report::of(sent, &target, &tables, limit).await?;
    #[expect(clippy::print_stdout, reason = "what the program is asked for")]
    {
        println!("{}", serde_json::to_string(&report)?);
    }
    Ok(())
}
