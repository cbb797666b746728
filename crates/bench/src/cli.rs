use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::report::Report;
use crate::tables::Tables;
use crate::{closed, messages, open};

/// Drives a running stack at a fixed rate, or with so many callers, and prints what it measured.
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
pub(crate) struct Cli {
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
pub(crate) struct Target {
    /// APIs of order-worker, used in turn
    #[arg(long, env = "BOXOFFICE_ORDER_URL", value_delimiter = ',', required = true)]
    pub(crate) order_url: Vec<String>,
    #[arg(long, env = "BOXOFFICE_TOKEN", hide_env_values = true)]
    pub(crate) token: String,
    /// PostgreSQL, as a role that may read all schemas
    #[arg(long, env = "BOXOFFICE_DATABASE_URL", hide_env_values = true)]
    pub(crate) database_url: String,
    /// RocketMQ's name server, for messages
    #[arg(long, env = "BOXOFFICE_NAME_SERVER", default_value = "127.0.0.1:9876")]
    pub(crate) name_server: String,
    #[arg(long)]
    pub(crate) session: i64,
    #[arg(long)]
    pub(crate) ticket: i64,
    #[arg(long, default_value_t = 1)]
    pub(crate) quantity: i32,
    /// Without it orders are only reserved
    #[arg(long)]
    pub(crate) payment_method: Option<String>,
    /// How long orders are sent
    #[arg(long, default_value_t = 30)]
    pub(crate) seconds: u64,
    /// How long what is left may take afterwards
    #[arg(long, default_value_t = 60)]
    pub(crate) drain_seconds: u64,
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

impl Target {
    pub(crate) fn window(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

impl Cli {
    /// Sends the load, waits until all is decided, and prints what was measured.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let Self { mode, target } = self;
        let tables = Tables::open(&target.database_url).await?;
        let sent = match mode {
            Mode::Open(arguments) => open::run(&target, &arguments, &tables).await?,
            Mode::Closed(arguments) => closed::run(&target, &arguments, &tables).await?,
            Mode::Messages(arguments) => messages::run(&target, &arguments, &tables).await?,
        };
        let limit = Duration::from_secs(target.drain_seconds);
        let report = Report::of(sent, &target, &tables, limit).await?;
        #[expect(clippy::print_stdout, reason = "what the program is asked for")]
        {
            println!("{}", serde_json::to_string(&report)?);
        }
        Ok(())
    }
}
