//! The configuration of notify-worker.

use std::path::PathBuf;
use std::time::Duration;

use common::config::{
    AdminConfig, ApiConfig, AuthConfig, BrokerConfig, DrainConfig, InboxConfig, LogConfig,
    OutboxConfig, PipelineConfig, PostgresConfig, Secret, Validate, in_section,
};
use common::life::Settings;
use common::worker::Base;
use contracts::{Channel, topics};
use serde::{Deserialize, Serialize};

use crate::domain::Policy;

/// Everything that can be configured; the common sections are the same in every worker.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub log: LogConfig,
    pub postgres: PostgresConfig,
    pub broker: BrokerConfig,
    pub pipeline: PipelineConfig,
    pub outbox: OutboxConfig,
    pub inbox: InboxConfig,
    pub api: ApiConfig,
    pub admin: AdminConfig,
    pub auth: AuthConfig,
    pub drain: DrainConfig,
    pub groups: GroupsConfig,
    pub channels: ChannelsConfig,
    pub delivery: DeliveryConfig,
    pub smtp: SmtpConfig,
    pub templates: TemplatesConfig,
}

/// The consumer groups.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GroupsConfig {
    pub sms: String,
    pub email: String,
    pub push: String,
}

impl Default for GroupsConfig {
    fn default() -> Self {
        Self {
            sms: topics::NOTIFY_SMS_GROUP.to_owned(),
            email: topics::NOTIFY_EMAIL_GROUP.to_owned(),
            push: topics::NOTIFY_PUSH_GROUP.to_owned(),
        }
    }
}

impl GroupsConfig {
    /// The group that takes the notifications of `channel`.
    pub fn of(&self, channel: Channel) -> &str {
        match channel {
            Channel::Sms => &self.sms,
            Channel::Email => &self.email,
            Channel::Push => &self.push,
        }
    }
}

/// What serves a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// A log line at debug level.
    Log,
    /// The mail server of the section `smtp`.
    Smtp,
}

/// Which service serves which channel.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ChannelsConfig {
    pub sms: Service,
    pub email: Service,
    pub push: Service,
}

impl Default for ChannelsConfig {
    fn default() -> Self {
        Self { sms: Service::Log, email: Service::Log, push: Service::Log }
    }
}

impl ChannelsConfig {
    /// What serves `channel`.
    pub fn of(&self, channel: Channel) -> Service {
        match channel {
            Channel::Sms => self.sms,
            Channel::Email => self.email,
            Channel::Push => self.push,
        }
    }
}

impl Validate for ChannelsConfig {
    fn validate(&self) -> Vec<String> {
        [("sms", self.sms), ("push", self.push)]
            .into_iter()
            .filter(|(_, service)| *service == Service::Smtp)
            .map(|(key, _)| format!("{key}: smtp serves e-mail only"))
            .collect()
    }
}

/// How deliveries are made and tried again.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeliveryConfig {
    /// Deliveries of one channel that wait in memory at most; the rest is the sweeper's.
    pub queue_max: usize,
    /// Deliveries to the log at once.
    pub log_in_flight_max: usize,
    /// Deliveries to the mail server at once.
    pub smtp_in_flight_max: usize,
    /// Attempts at one notification before it is dead.
    pub attempts_max: u32,
    /// The delay before the second attempt, the third, …; the last one repeats.
    pub retry_delays_ms: Vec<u64>,
    /// How long a call belongs to whoever wrote or claimed it.
    pub lease_ms: u64,
    pub sweep_interval_ms: u64,
    pub sweep_batch_max: i64,
    /// Pause of a channel that does not answer: the first and the longest.
    pub backoff_min_ms: u64,
    pub backoff_max_ms: u64,
}

impl Default for DeliveryConfig {
    fn default() -> Self {
        Self {
            queue_max: 20_000,
            log_in_flight_max: 1_024,
            smtp_in_flight_max: 8,
            attempts_max: 8,
            retry_delays_ms: vec![5_000, 30_000, 120_000, 600_000, 1_800_000],
            lease_ms: 60_000,
            sweep_interval_ms: 1_000,
            sweep_batch_max: 500,
            backoff_min_ms: 250,
            backoff_max_ms: 10_000,
        }
    }
}

impl DeliveryConfig {
    /// How long a delivery is tried.
    pub fn policy(&self) -> Policy {
        let retry_delays = self.retry_delays_ms.iter().map(|ms| Duration::from_millis(*ms));
        Policy { attempts_max: self.attempts_max, retry_delays: retry_delays.collect() }
    }
}

impl Validate for DeliveryConfig {
    fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut within = |key: &str, value: u64, min: u64, max: u64| {
            if value < min || value > max {
                problems.push(format!("{key}: must be from {min} to {max}, not {value}"));
            }
        };
        within("queue_max", self.queue_max as u64, 1, 1_000_000);
        within("log_in_flight_max", self.log_in_flight_max as u64, 1, 100_000);
        within("smtp_in_flight_max", self.smtp_in_flight_max as u64, 1, 1_000);
        within("attempts_max", u64::from(self.attempts_max), 1, 100);
        within("lease_ms", self.lease_ms, 100, 3_600_000);
        within("sweep_interval_ms", self.sweep_interval_ms, 10, 3_600_000);
        within("sweep_batch_max", self.sweep_batch_max.try_into().unwrap_or(0), 1, 10_000);
        within("backoff_min_ms", self.backoff_min_ms, 1, self.backoff_max_ms);
        within("backoff_max_ms", self.backoff_max_ms, 1, self.lease_ms);
        if self.retry_delays_ms.is_empty() && self.attempts_max > 1 {
            problems.push("retry_delays_ms: must name a delay when attempts_max > 1".to_owned());
        }
        if self.retry_delays_ms.contains(&0) {
            problems.push("retry_delays_ms: must be at least 1".to_owned());
        }
        problems
    }
}

/// How the connection to the mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SmtpTls {
    /// Not at all.
    None,
    /// From the `STARTTLS` on; without it nothing is sent.
    Starttls,
    /// From the first byte.
    Tls,
}

/// The mail server.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SmtpConfig {
    pub host: String,
    pub port: u16,
    pub tls: SmtpTls,
    /// A certificate authority (PEM) beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// None: without logging in.
    pub user: Option<String>,
    pub password: Option<Secret>,
    /// `Name <address>` or an address.
    pub from: String,
    /// Behind the `@` of each `Message-ID`; none: the domain of `from`.
    pub message_id_domain: Option<String>,
    /// For finished texts of other services that name no subject.
    pub default_subject: String,
    pub connections_max: u32,
    pub idle_timeout_ms: u64,
    /// For one e-mail, from connecting to the last answer.
    pub timeout_ms: u64,
}

impl Default for SmtpConfig {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 25,
            tls: SmtpTls::Starttls,
            ca_file: None,
            user: None,
            password: None,
            from: "Boxoffice <tickets@localhost>".to_owned(),
            message_id_domain: None,
            default_subject: "About your order".to_owned(),
            connections_max: 8,
            idle_timeout_ms: 60_000,
            timeout_ms: 20_000,
        }
    }
}

impl Validate for SmtpConfig {
    fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.host.is_empty() {
            problems.push("host: must not be empty".to_owned());
        }
        if self.from.parse::<lettre::message::Mailbox>().is_err() {
            problems.push(format!("from: {:?} is not an address", self.from));
        }
        if self.connections_max == 0 {
            problems.push("connections_max: must be at least 1, not 0".to_owned());
        }
        if self.password.is_some() && self.user.is_none() {
            problems.push("password: is of no use without user".to_owned());
        }
        if self.user.is_some() && self.tls == SmtpTls::None && !is_loopback(&self.host) {
            problems.push("tls: none would send the password readable for all".to_owned());
        }
        problems
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Texts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TemplatesConfig {
    /// The language when a person's is unknown or has no text.
    pub default_locale: String,
    /// How often the table is read.
    pub refresh_ms: u64,
}

impl Default for TemplatesConfig {
    fn default() -> Self {
        Self { default_locale: "en".to_owned(), refresh_ms: 5_000 }
    }
}

impl Validate for TemplatesConfig {
    fn validate(&self) -> Vec<String> {
        match self.refresh_ms {
            10..=3_600_000 => Vec::new(),
            other => vec![format!("refresh_ms: must be from 10 to 3600000, not {other}")],
        }
    }
}

impl Validate for Config {
    fn validate(&self) -> Vec<String> {
        let mut problems = [
            in_section("log", &self.log),
            in_section("postgres", &self.postgres),
            in_section("broker", &self.broker),
            in_section("pipeline", &self.pipeline),
            in_section("outbox", &self.outbox),
            in_section("inbox", &self.inbox),
            in_section("api", &self.api),
            in_section("admin", &self.admin),
            in_section("auth", &self.auth),
            in_section("drain", &self.drain),
            in_section("channels", &self.channels),
            in_section("delivery", &self.delivery),
            in_section("smtp", &self.smtp),
            in_section("templates", &self.templates),
        ]
        .concat();
        problems.extend(self.inbox.outlives(&self.pipeline));
        problems.extend(self.drain.outlives(&self.postgres));
        // A letter that is begun in the first half of its lease must end within it.
        let (limit, lease) = (self.smtp.timeout_ms, self.delivery.lease_ms);
        if self.channels.email == Service::Smtp && limit > lease / 2 {
            problems.push(format!(
                "smtp.timeout_ms: {limit} must be at most half of delivery.lease_ms ({lease})"
            ));
        }
        if self.smtp.timeout_ms == 0 {
            problems.push("smtp.timeout_ms: must be at least 1, not 0".to_owned());
        }
        problems
    }
}

impl Config {
    /// The sections of the runtime.
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
}

impl Settings for Config {
    fn log(&self) -> &LogConfig {
        &self.log
    }

    fn drain(&self) -> &DrainConfig {
        &self.drain
    }
}

#[cfg(test)]
mod tests;
