use serde::{Deserialize, Serialize};

use super::check::{at_least, within};
use crate::config::{PostgresUrl, RedisUrl, Validate};

/// Every time limit of the database stays under this, so that no batch hangs for long.
const STATEMENT_LIMIT_MAX_MS: u64 = 10_000;

/// The database.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PostgresConfig {
    pub url: PostgresUrl,
    /// Connections at most; small pools are faster.
    pub pool_max: u32,
    pub acquire_timeout_ms: u64,
    pub statement_timeout_ms: u64,
    pub lock_timeout_ms: u64,
    pub idle_in_transaction_timeout_ms: u64,
}

impl Default for PostgresConfig {
    fn default() -> Self {
        Self {
            url: PostgresUrl::default(),
            pool_max: 8,
            acquire_timeout_ms: 2_000,
            statement_timeout_ms: 5_000,
            lock_timeout_ms: 3_000,
            idle_in_transaction_timeout_ms: 5_000,
        }
    }
}

impl Validate for PostgresConfig {
    fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        at_least(&mut problems, "pool_max", self.pool_max, 1);
        let limits = [
            ("acquire_timeout_ms", self.acquire_timeout_ms),
            ("statement_timeout_ms", self.statement_timeout_ms),
            ("lock_timeout_ms", self.lock_timeout_ms),
            ("idle_in_transaction_timeout_ms", self.idle_in_transaction_timeout_ms),
        ];
        for (key, value) in limits {
            within(&mut problems, key, value, 1, STATEMENT_LIMIT_MAX_MS);
        }
        if self.lock_timeout_ms > self.statement_timeout_ms {
            problems.push(format!(
                "lock_timeout_ms: {} is longer than statement_timeout_ms ({}), so it never applies",
                self.lock_timeout_ms, self.statement_timeout_ms
            ));
        }
        problems
    }
}

/// The fast gate.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RedisConfig {
    pub url: RedisUrl,
    /// After this a call's outcome is unknown.
    pub response_timeout_ms: u64,
    pub connect_timeout_ms: u64,
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self { url: RedisUrl::default(), response_timeout_ms: 500, connect_timeout_ms: 1_000 }
    }
}

impl Validate for RedisConfig {
    fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        within(&mut problems, "response_timeout_ms", self.response_timeout_ms, 1, 10_000);
        within(&mut problems, "connect_timeout_ms", self.connect_timeout_ms, 1, 10_000);
        problems
    }
}
