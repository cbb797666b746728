//! order-worker's configuration.

use chrono::TimeDelta;
use common::config::{
    AdminConfig, ApiConfig, AuthConfig, BrokerConfig, DrainConfig, InboxConfig, LogConfig,
    OutboxConfig, PipelineConfig, PostgresConfig, Validate, in_section,
};
use common::life::Settings;
use common::worker::Base;
use contracts::Channel;
use serde::{Deserialize, Serialize};

use crate::domain::Policy;
use crate::handlers::Topics;
use crate::payments::PaymentConfig;

/// The whole of it; every section has defaults.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub postgres: PostgresConfig,
    pub broker: BrokerConfig,
    pub pipeline: PipelineConfig,
    pub outbox: OutboxConfig,
    pub inbox: InboxConfig,
    pub api: ApiConfig,
    pub admin: AdminConfig,
    pub auth: AuthConfig,
    pub orders: OrdersConfig,
    pub expiry: ExpiryConfig,
    pub payments: PaymentConfig,
    pub log: LogConfig,
    pub drain: DrainConfig,
}

/// Rules about orders.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OrdersConfig {
    /// How long tickets are held for an order, where the sale does not say.
    pub hold_s: u32,
    /// Longer than the buyer is told.
    pub grace_s: u32,
    /// Deadlines are spread over this much.
    pub jitter_s: u32,
    /// How buyers hear of their orders, where the order does not say.
    pub default_channels: Vec<String>,
    pub payment_attempts_max: usize,
    /// Facts that nobody in Boxoffice takes; published for whoever wants them.
    pub publish_reserved: bool,
    pub publish_confirmed: bool,
    pub publish_refunded: bool,
    /// How often each process reads what changed of the sales.
    pub sale_refresh_ms: u64,
    /// How long orders may wait for their stock before new ones are turned away with 503, and those
    /// that come by message are left on the bus.
    pub backlog_max_ms: u64,
}

impl Default for OrdersConfig {
    fn default() -> Self {
        Self {
            hold_s: 900,
            grace_s: 60,
            jitter_s: 5,
            default_channels: vec![Channel::Email.to_string()],
            payment_attempts_max: 5,
            publish_reserved: false,
            publish_confirmed: false,
            publish_refunded: false,
            sale_refresh_ms: 100,
            backlog_max_ms: 400,
        }
    }
}

impl Validate for OrdersConfig {
    fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.hold_s == 0 {
            problems.push("hold_s: must be at least 1".to_owned());
        }
        if self.payment_attempts_max == 0 {
            problems.push("payment_attempts_max: must be at least 1".to_owned());
        }
        if self.sale_refresh_ms == 0 {
            problems.push("sale_refresh_ms: must be at least 1".to_owned());
        }
        if self.backlog_max_ms == 0 {
            problems.push("backlog_max_ms: must be at least 1".to_owned());
        }
        for name in &self.default_channels {
            if name.parse::<Channel>().is_err() {
                problems.push(format!("default_channels: {name:?} is not SMS, EMAIL or PUSH"));
            }
        }
        problems
    }
}

impl OrdersConfig {
    /// As the order machine takes it.
    pub fn policy(&self) -> Policy {
        Policy {
            hold: TimeDelta::seconds(i64::from(self.hold_s)),
            grace: TimeDelta::seconds(i64::from(self.grace_s)),
            jitter: TimeDelta::seconds(i64::from(self.jitter_s)),
            default_channels: self
                .default_channels
                .iter()
                .filter_map(|name| name.parse().ok())
                .collect(),
            payment_attempts_max: self.payment_attempts_max,
            publish_reserved: self.publish_reserved,
            publish_confirmed: self.publish_confirmed,
            publish_refunded: self.publish_refunded,
        }
    }
}

/// The sweep for deadlines that have passed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExpiryConfig {
    pub sweep_interval_ms: u64,
    pub sweep_batch_max: i64,
}

impl Default for ExpiryConfig {
    fn default() -> Self {
        Self { sweep_interval_ms: 500, sweep_batch_max: 500 }
    }
}

impl Validate for ExpiryConfig {
    fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.sweep_interval_ms == 0 {
            problems.push("sweep_interval_ms: must be at least 1".to_owned());
        }
        if self.sweep_batch_max < 1 {
            problems.push("sweep_batch_max: must be at least 1".to_owned());
        }
        problems
    }
}

impl Validate for Config {
    fn validate(&self) -> Vec<String> {
        let mut problems = [
            in_section("postgres", &self.postgres),
            in_section("broker", &self.broker),
            in_section("pipeline", &self.pipeline),
            in_section("outbox", &self.outbox),
            in_section("inbox", &self.inbox),
            in_section("api", &self.api),
            in_section("admin", &self.admin),
            in_section("auth", &self.auth),
            in_section("orders", &self.orders),
            in_section("expiry", &self.expiry),
            in_section("payments", &self.payments),
            in_section("log", &self.log),
            in_section("drain", &self.drain),
        ]
        .concat();
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

impl Config {
    /// What every worker has.
    pub fn base(&self) -> Base {
        Base {
            postgres: self.postgres.clone(),
            broker: self.broker.clone(),
            pipeline: self.pipeline.clone(),
            outbox: self.outbox.clone(),
            inbox: self.inbox.clone(),
            drain: self.drain.clone(),
        }
    }

    /// The topics' names.
    pub fn topics(&self) -> Topics {
        Topics {
            order: self.broker.order_topic.as_str().into(),
            stock: self.broker.stock_topic.as_str().into(),
            notification: self.broker.notification_topic.as_str().into(),
        }
    }
}
