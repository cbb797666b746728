//! The configuration of dlq-handler.

use std::collections::HashSet;

use common::config::{
    AdminConfig, ApiConfig, AuthConfig, BrokerConfig, DrainConfig, InboxConfig, LogConfig,
    OutboxConfig, PipelineConfig, PostgresConfig, Validate, in_section,
};
use common::life::Settings;
use common::worker::Base;
use contracts::topics;
use serde::{Deserialize, Serialize};

/// Everything that can be configured; the common sections are the same in every worker.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub log: LogConfig,
    pub postgres: PostgresConfig,
    pub broker: BrokerConfig,
    pub pipeline: PipelineConfig,
    pub outbox: OutboxConfig,
    /// `replay_max_age_hours` is this worker's; it must be the same for all of them.
    pub inbox: InboxConfig,
    pub api: ApiConfig,
    pub admin: AdminConfig,
    pub auth: AuthConfig,
    pub drain: DrainConfig,
    pub dlq: DlqConfig,
}

/// Whose dead letters are archived.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DlqConfig {
    /// The consumer groups.
    pub groups: Vec<String>,
    /// A group's dead letters are archived by the group of this prefix and its name.
    pub archive_group_prefix: String,
    /// How often the archive looks whether replays were sent, and counts what waits.
    pub watch_interval_ms: u64,
}

impl DlqConfig {
    /// The consumer group that archives the dead letters of `group`.
    pub fn archive_group(&self, group: &str) -> String {
        format!("{}{group}", self.archive_group_prefix)
    }
}

impl Default for DlqConfig {
    fn default() -> Self {
        let groups = [
            topics::ORDER_INTAKE_GROUP,
            topics::ORDER_STOCK_GROUP,
            topics::ORDER_SALE_GROUP,
            topics::STOCK_ORDER_GROUP,
            topics::STOCK_COMMAND_GROUP,
            topics::NOTIFY_SMS_GROUP,
            topics::NOTIFY_EMAIL_GROUP,
            topics::NOTIFY_PUSH_GROUP,
        ];
        Self {
            groups: groups.map(str::to_owned).to_vec(),
            archive_group_prefix: "dlq-".to_owned(),
            watch_interval_ms: 1_000,
        }
    }
}

impl Validate for DlqConfig {
    fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.groups.is_empty() {
            problems.push("groups: must name a consumer group".to_owned());
        }
        let mut seen = HashSet::new();
        for group in &self.groups {
            if !is_legal(group) {
                problems.push(format!("groups: {group:?} is no name of a consumer group"));
            }
            if !seen.insert(group) {
                problems.push(format!("groups: {group:?} is named twice"));
            }
        }
        if !is_legal(&self.archive_group_prefix) {
            let prefix = &self.archive_group_prefix;
            problems.push(format!("archive_group_prefix: {prefix:?} can't begin a group's name"));
        }
        if !(10..=3_600_000).contains(&self.watch_interval_ms) {
            let ms = self.watch_interval_ms;
            problems.push(format!("watch_interval_ms: must be from 10 to 3600000, not {ms}"));
        }
        problems
    }
}

/// RocketMQ's rule for names, with room for a prefix.
fn is_legal(name: &str) -> bool {
    const NAME_MAX_BYTES: usize = 100;
    let legal =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'%' | b'|' | b'-' | b'_');
    !name.is_empty() && name.len() <= NAME_MAX_BYTES && name.bytes().all(legal)
}

impl Config {
    /// The sections that the worker is assembled from.
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
            in_section("dlq", &self.dlq),
        ]
        .concat();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_name_every_group() {
        let config = Config::default();
        assert_eq!(config.validate(), Vec::<String>::new());
        assert_eq!(config.dlq.groups.len(), 8);
        assert_eq!(config.dlq.archive_group("order-stock"), "dlq-order-stock");
    }

    #[test]
    fn each_problem_names_its_key() {
        let dlq = DlqConfig {
            groups: vec!["a".to_owned(), "a".to_owned(), "no dots.".to_owned()],
            archive_group_prefix: String::new(),
            watch_interval_ms: 1,
        };
        let problems = Config { dlq, ..Config::default() }.validate();
        let keys: Vec<_> = problems.iter().filter_map(|line| line.split(':').next()).collect();
        let groups = "dlq.groups";
        assert_eq!(keys, [groups, groups, "dlq.archive_group_prefix", "dlq.watch_interval_ms"]);
        let none = DlqConfig { groups: Vec::new(), ..DlqConfig::default() };
        assert_eq!(none.validate().len(), 1);
    }
}
