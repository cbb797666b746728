use std::io::Write as _;

use serde::{Deserialize, Serialize};

use super::*;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    postgres: PostgresConfig,
    redis: RedisConfig,
    broker: BrokerConfig,
    pipeline: PipelineConfig,
    outbox: OutboxConfig,
    inbox: InboxConfig,
    admin: AdminConfig,
    api: ApiConfig,
    auth: AuthConfig,
    log: LogConfig,
    drain: DrainConfig,
}

impl Validate for Settings {
    fn validate(&self) -> Vec<String> {
        let mut problems = [
            in_section("postgres", &self.postgres),
            in_section("redis", &self.redis),
            in_section("broker", &self.broker),
            in_section("pipeline", &self.pipeline),
            in_section("outbox", &self.outbox),
            in_section("inbox", &self.inbox),
            in_section("admin", &self.admin),
            in_section("api", &self.api),
            in_section("auth", &self.auth),
            in_section("log", &self.log),
            in_section("drain", &self.drain),
        ]
        .concat();
        problems.extend(self.inbox.outlives(&self.pipeline));
        problems.extend(self.drain.outlives(&self.postgres));
        problems
    }
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    file
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn with(overrides: &[(&str, &str)]) -> Result<Settings, ConfigError> {
    load_from(None, Vec::new(), &pairs(overrides))
}

/// What is wrong, in one line.
fn refused(result: Result<Settings, ConfigError>) -> String {
    let text = result.expect_err("refused").to_string();
    assert!(!text.contains('\n'), "more than one line: {text}");
    text
}

#[test]
fn the_defaults_are_valid() {
    with(&[]).expect("valid");
}

#[test]
fn each_layer_overrides_the_last() {
    let file = file("[postgres]\npool_max = 3\nlock_timeout_ms = 100\nacquire_timeout_ms = 50\n");
    let environment =
        pairs(&[("postgres.lock_timeout_ms", "200"), ("redis.response_timeout_ms", "9")]);
    let flags = pairs(&[("postgres.acquire_timeout_ms", "70"), ("redis.response_timeout_ms", "8")]);
    let settings: Settings = load_from(Some(file.path()), environment, &flags).expect("valid");
    assert_eq!(settings.postgres.pool_max, 3, "from the file");
    assert_eq!(settings.postgres.lock_timeout_ms, 200, "from the environment");
    assert_eq!(settings.postgres.acquire_timeout_ms, 70, "from a flag");
    assert_eq!(settings.redis.response_timeout_ms, 8, "a flag beats the environment");
    assert_eq!(settings.postgres.statement_timeout_ms, 5_000, "the default");
}

#[test]
fn environment_variables_become_keys() {
    let variables = [("BOXOFFICE__POSTGRES__POOL_MAX", "3"), ("BOXOFFICE_TEST_REDIS", "x")];
    let read = environment(variables.into_iter().map(|(name, value)| (name.into(), value.into())));
    assert_eq!(read, pairs(&[("postgres.pool_max", "3")]));
}

#[test]
fn an_unknown_key_is_refused_in_every_layer_naming_what_is_allowed() {
    let in_file = file("[postgres]\npool_size = 3\n");
    let problems = [
        refused(load_from(Some(in_file.path()), Vec::new(), &[])),
        refused(load_from(None, pairs(&[("postgres.pool_size", "3")]), &[])),
        refused(with(&[("postgres.pool_size", "3")])),
    ];
    for problem in problems {
        assert!(problem.contains("postgres.pool_size"), "{problem}");
        assert!(problem.contains("pool_max"), "{problem}");
    }
    let problem = refused(with(&[("postgress.url", "x")]));
    assert!(problem.contains("postgress") && problem.contains("`postgres`"), "{problem}");
}

#[test]
fn a_bad_url_is_refused_without_showing_its_password() {
    for (key, url) in [
        ("postgres.url", "http://u:hunter2@127.0.0.1/x"),
        ("postgres.url", "hunter2"),
        ("postgres.url", "postgres://u:hunter2@127.0.0.1:port/x"),
        ("postgres.url", "postgres:///hunter2"),
        ("redis.url", "rediss://:hunter2@h:1"),
        ("redis.url", "127.0.0.1:6379/hunter2"),
    ] {
        let problem = refused(with(&[(key, url)]));
        assert!(problem.contains(key), "{problem}");
        assert!(problem.contains("://"), "says what is expected: {problem}");
        assert!(!problem.contains("hunter2"), "{problem}");
    }
}

#[test]
fn a_value_of_the_wrong_type_names_its_key() {
    for (key, value) in [
        ("postgres.pool_max", "many"),
        ("pipeline.batch_max", "-1"),
        ("broker.topics", "maybe"),
        ("log.format", "xml"),
        ("pipeline.retry_delays_ms", "[1, \"x\"]"),
        ("pipeline.retry_delays_ms", "5"),
        ("postgres", "5"),
    ] {
        let problem = refused(with(&[(key, value)]));
        assert!(problem.contains(key), "{key}={value}: {problem}");
    }
}

#[test]
fn text_becomes_what_the_key_wants() {
    let settings = with(&[
        ("pipeline.retry_delays_ms", "[10, 20]"),
        ("pipeline.attempts_max", "3"),
        ("broker.topics", "create"),
        ("broker.access_key", "12345"),
        ("broker.secret_key", "true"),
        ("admin.port_file", "/tmp/ports"),
    ])
    .expect("valid");
    assert_eq!(settings.pipeline.retry_delays_ms, [10, 20]);
    assert_eq!(settings.broker.topics, Provisioning::Create);
    assert_eq!(settings.broker.access_key, Some(Secret::new("12345")));
    assert_eq!(settings.broker.secret_key, Some(Secret::new("true")));
}

#[test]
fn a_syntax_error_has_its_line() {
    let file = file("[postgres]\npool_max = 3\nurl = \n");
    let problem = refused(load_from(Some(file.path()), Vec::new(), &[]));
    assert!(problem.contains("line 3"), "{problem}");
}

#[test]
fn a_missing_file_is_named() {
    let problem = refused(load_from(Some(Path::new("/nowhere/x.toml")), Vec::new(), &[]));
    assert!(problem.contains("/nowhere/x.toml"), "{problem}");
}

#[test]
fn impossible_combinations_are_refused() {
    let impossible: &[&[(&str, &str)]] = &[
        &[("inbox.retention_hours", "24"), ("inbox.replay_max_age_hours", "24")],
        &[("pipeline.retry_delays_ms", "[2000000000]")],
        &[("pipeline.retry_delays_ms", "[]")],
        &[("postgres.lock_timeout_ms", "6000")],
        &[("postgres.statement_timeout_ms", "10001")],
        &[("postgres.pool_max", "0")],
        &[("drain.drain_timeout_ms", "5000")],
        &[("broker.access_key", "x")],
        &[("broker.name_server", "127.0.0.1")],
        &[("broker.pull_suspend_ms", "5000")],
        &[("outbox.backoff_max_ms", "10000")],
        &[("outbox.backoff_min_ms", "3000")],
        &[("admin.listen", "9090")],
        &[("log.filter", "info,=,")],
    ];
    for overrides in impossible {
        let problem = refused(with(overrides));
        let key = overrides[0].0;
        assert!(problem.contains(key), "{overrides:?}: {problem}");
    }
}

#[test]
fn every_problem_is_listed_at_once() {
    let problem = refused(with(&[("postgres.pool_max", "0"), ("broker.queues", "0")]));
    assert!(
        problem.contains("postgres.pool_max") && problem.contains("broker.queues"),
        "{problem}"
    );
}

#[test]
fn what_is_printed_hides_secrets_and_can_be_read_again() {
    let settings = with(&[
        ("broker.access_key", "alice"),
        ("broker.secret_key", "hunter2"),
        ("postgres.url", "postgres://alice:hunter2@db:5432/x"),
        ("redis.url", "redis://:hunter2@cache:6379"),
    ])
    .expect("valid");
    let printed = to_toml(&settings).expect("TOML");
    assert!(!printed.contains("hunter2"), "{printed}");
    assert!(printed.contains("postgres://alice:***@db:5432/x"), "{printed}");
    assert!(!format!("{settings:?}").contains("hunter2"));
    let file = file(&printed);
    load_from::<Settings>(Some(file.path()), Vec::new(), &[]).expect("valid");
}

#[test]
fn the_longest_redelivery_repeats_the_last_delay() {
    let pipeline = PipelineConfig {
        attempts_max: 5,
        retry_delays_ms: vec![1, 10],
        ..PipelineConfig::default()
    };
    assert_eq!(pipeline.longest_redelivery_ms(), 1 + 10 + 10 + 10);
}
