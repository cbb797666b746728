//! The command line: flags, or `SANDBOX_…` in the environment.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;

use crate::signature::Secret;

/// A payment provider to rehearse with: its own process, its own books.
#[derive(Debug, Clone, Parser)]
#[command(name = "sandbox", version, about)]
pub struct Options {
    /// Where the API listens; port 0 picks a free one
    #[arg(long, env = "SANDBOX_LISTEN", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Written once the API listens: {"api": "127.0.0.1:port"}
    #[arg(long, env = "SANDBOX_PORT_FILE", value_name = "FILE")]
    pub port_file: Option<PathBuf>,
    /// Every change goes to this file first, and is read back at the start; without it the books are in memory only
    #[arg(long, env = "SANDBOX_JOURNAL", value_name = "FILE")]
    pub journal: Option<PathBuf>,
    /// What callers show as bearer token
    #[arg(long, env = "SANDBOX_MERCHANT_KEY", hide_env_values = true)]
    pub merchant_key: Secret,
    /// What callbacks are signed with; several, parted by commas, while a secret is rotated
    #[arg(
        long = "callback-secret",
        env = "SANDBOX_CALLBACK_SECRET",
        hide_env_values = true,
        value_delimiter = ',',
        required = true
    )]
    pub callback_secrets: Vec<Secret>,
    /// The behaviour at the start, as `POST /v1/control` takes it
    #[arg(long, env = "SANDBOX_CONTROL", value_name = "JSON")]
    pub control: Option<String>,
    /// Callbacks in flight at once
    #[arg(long, env = "SANDBOX_CALLBACKS_IN_FLIGHT", default_value_t = 512, value_parser = at_least_one)]
    pub callbacks_in_flight: usize,
    /// How long one callback may take
    #[arg(long, env = "SANDBOX_CALLBACK_TIMEOUT_MS", default_value_t = 5_000)]
    pub callback_timeout_ms: u64,
    /// How long calls and callbacks in flight may take to end after SIGTERM
    #[arg(long, env = "SANDBOX_DRAIN_TIMEOUT_MS", default_value_t = 10_000)]
    pub drain_timeout_ms: u64,
    /// More payments than this are refused with 503
    #[arg(long, env = "SANDBOX_PAYMENTS_MAX", default_value_t = 5_000_000)]
    pub payments_max: usize,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("must be a whole number of at least 1".to_owned()),
        Ok(number) => Ok(number),
    }
}
