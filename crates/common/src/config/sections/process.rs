use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::PostgresConfig;
use super::check::{socket_address, within};
use crate::config::Validate;

/// The admin port.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdminConfig {
    /// `address:port`; port 0 takes any free one.
    pub listen: String,
    /// Where the bound addresses are written, for a supervisor.
    pub port_file: Option<PathBuf>,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self { listen: "0.0.0.0:9090".to_owned(), port_file: None }
    }
}

impl Validate for AdminConfig {
    fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        socket_address(&mut problems, "listen", &self.listen);
        problems
    }
}

/// The API's port.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiConfig {
    /// `address:port`; port 0 takes any free one.
    pub listen: String,
    pub body_max_bytes: usize,
    /// A request that takes longer is answered 503.
    pub request_timeout_ms: u64,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            listen: "0.0.0.0:8080".to_owned(),
            body_max_bytes: 64 * 1024,
            request_timeout_ms: 10_000,
        }
    }
}

impl Validate for ApiConfig {
    fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        socket_address(&mut problems, "listen", &self.listen);
        within(&mut problems, "body_max_bytes", self.body_max_bytes, 1_024, 16 * 1024 * 1024);
        within(&mut problems, "request_timeout_ms", self.request_timeout_ms, 10, 600_000);
        problems
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

/// Logs, on standard error.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// As `RUST_LOG`: `info,order_worker=debug`.
    pub filter: String,
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        // The client logs each of its steps; what matters of them, readiness says.
        let filter = "info,rocketmq_client_rust=off,rocketmq_transport=off,rocketmq_runtime=warn";
        Self { filter: filter.to_owned(), format: LogFormat::Text }
    }
}

impl Validate for LogConfig {
    fn validate(&self) -> Vec<String> {
        match tracing_subscriber::EnvFilter::try_new(&self.filter) {
            Ok(_) => Vec::new(),
            Err(error) => vec![format!("filter: {:?}: {error}", self.filter)],
        }
    }
}

/// Who may call what.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthConfig {
    /// Hashes of tokens with their scopes; without a file every guarded call is refused.
    pub tokens_file: Option<PathBuf>,
}

impl Validate for AuthConfig {
    fn validate(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The end of the process.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DrainConfig {
    /// Shorter than the grace period of Kubernetes (30 s by default).
    pub drain_timeout_ms: u64,
}

impl DrainConfig {
    /// Whether a batch in hand can finish while the worker drains; a problem's line if not.
    pub fn outlives(&self, postgres: &PostgresConfig) -> Option<String> {
        (self.drain_timeout_ms <= postgres.statement_timeout_ms).then(|| {
            format!(
                "drain.drain_timeout_ms: {} is not longer than postgres.statement_timeout_ms ({})",
                self.drain_timeout_ms, postgres.statement_timeout_ms
            )
        })
    }
}

impl Default for DrainConfig {
    fn default() -> Self {
        Self { drain_timeout_ms: 20_000 }
    }
}

impl Validate for DrainConfig {
    fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        within(&mut problems, "drain_timeout_ms", self.drain_timeout_ms, 100, 600_000);
        problems
    }
}
