//! The configuration of stock-worker.

use common::config::{
    AdminConfig, ApiConfig, AuthConfig, BrokerConfig, DrainConfig, InboxConfig, LogConfig,
    OutboxConfig, PipelineConfig, PostgresConfig, RedisConfig, Validate, in_section,
};
use common::life::Settings;
use serde::{Deserialize, Serialize};

/// At most five changes of sold-out flags a second and session.
const SOLD_OUT_INTERVAL_MIN_MS: u64 = 200;
const SOLD_OUT_INTERVAL_MAX_MS: u64 = 60_000;

/// Everything that can be set.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub postgres: PostgresConfig,
    pub redis: RedisConfig,
    pub broker: BrokerConfig,
    pub pipeline: PipelineConfig,
    pub outbox: OutboxConfig,
    pub inbox: InboxConfig,
    pub api: ApiConfig,
    pub admin: AdminConfig,
    pub auth: AuthConfig,
    pub log: LogConfig,
    pub drain: DrainConfig,
    pub gate: GateConfig,
    pub sale: SaleConfig,
}

/// The gate's keys in Redis.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GateConfig {
    /// In front of every key, so that deployments can share a Redis; no braces.
    pub prefix: String,
}

impl Validate for GateConfig {
    fn validate(&self) -> Vec<String> {
        match self.prefix.contains(['{', '}']) {
            true => vec![format!("prefix: {:?} must not contain braces", self.prefix)],
            false => Vec::new(),
        }
    }
}

/// What is published about sales.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SaleConfig {
    /// How often sold-out flags are looked at; a session's change is published as often at most.
    pub sold_out_interval_ms: u64,
}

impl Default for SaleConfig {
    fn default() -> Self {
        Self { sold_out_interval_ms: SOLD_OUT_INTERVAL_MIN_MS }
    }
}

impl Validate for SaleConfig {
    fn validate(&self) -> Vec<String> {
        let allowed = SOLD_OUT_INTERVAL_MIN_MS..=SOLD_OUT_INTERVAL_MAX_MS;
        if allowed.contains(&self.sold_out_interval_ms) {
            return Vec::new();
        }
        vec![format!(
            "sold_out_interval_ms: must be from {SOLD_OUT_INTERVAL_MIN_MS} to \
             {SOLD_OUT_INTERVAL_MAX_MS}, not {}",
            self.sold_out_interval_ms
        )]
    }
}

impl Validate for Config {
    fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        problems.extend(in_section("postgres", &self.postgres));
        problems.extend(in_section("redis", &self.redis));
        problems.extend(in_section("broker", &self.broker));
        problems.extend(in_section("pipeline", &self.pipeline));
        problems.extend(in_section("outbox", &self.outbox));
        problems.extend(in_section("inbox", &self.inbox));
        problems.extend(in_section("api", &self.api));
        problems.extend(in_section("admin", &self.admin));
        problems.extend(in_section("auth", &self.auth));
        problems.extend(in_section("log", &self.log));
        problems.extend(in_section("drain", &self.drain));
        problems.extend(in_section("gate", &self.gate));
        problems.extend(in_section("sale", &self.sale));
        problems.extend(self.inbox.outlives(&self.pipeline));
        problems.extend(self.drain.outlives(&self.postgres));
        problems
    }
}

impl Settings for Config {
    fn log(&self) -> &LogConfig {
        &self.log
    }

    fn drain(&self) -> &DrainConfig {
        &self.drain
    }
}
