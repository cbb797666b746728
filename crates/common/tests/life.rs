//! A process's life from outside: flags, exit codes, signals, drain.
//!
//! The worker is this test binary itself: a case starts it again with [`CHILD`] set, and the
//! test `the_worker` then is the worker's `main`.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};

use common::config::{
    AdminConfig, ConfigError, DrainConfig, LogConfig, PostgresConfig, Validate, in_section,
};
use common::life::{self, Failure, Life, Program, Settings};
use serde::{Deserialize, Serialize};

/// Set to what the worker should do once it runs.
const CHILD: &str = "BOXOFFICE_LIFE_TEST_CHILD";
const ARGUMENTS: &str = "BOXOFFICE_LIFE_TEST_ARGUMENTS";
const PROGRAM: Program = Program { name: "idle-worker", version: "1.2.3", about: "Does nothing" };

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    postgres: PostgresConfig,
    admin: AdminConfig,
    log: LogConfig,
    drain: DrainConfig,
}

impl Validate for Config {
    fn validate(&self) -> Vec<String> {
        [in_section("postgres", &self.postgres), in_section("drain", &self.drain)].concat()
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

async fn run(_: Config, life: Life) -> Result<(), Failure> {
    let stop = life.stop();
    match std::env::var(CHILD).as_deref() {
        Ok("fails") => return Err("the disk is full".into()),
        Ok("misconfigured") => return Err(ConfigError::invalid("no handler for tag X").into()),
        Ok("panics") => drop(life.tasks.spawn("loop", async { panic!("on purpose") })),
        Ok("hangs") => drop(life.tasks.spawn("loop", std::future::pending())),
        _ => drop(life.tasks.spawn("loop", async move { stop.cancelled().await })),
    }
    tracing::info!("running");
    life.stopping().await;
    assert!(!life.readiness.is_ready(), "a draining worker is not ready");
    life.tasks.wait().await;
    tracing::info!("drained");
    Ok(())
}

async fn migrate(_: Config) -> Result<(), Failure> {
    tracing::info!("migrated");
    Ok(())
}

#[test]
fn the_worker() {
    if std::env::var_os(CHILD).is_some() {
        let arguments = std::env::var(ARGUMENTS).expect("set by the case");
        let arguments = std::iter::once("idle-worker").chain(arguments.split_whitespace());
        let exit = life::execute(PROGRAM, arguments.map(OsString::from), run, migrate);
        std::process::exit(exit as i32);
    }
}

fn start(does: &str, arguments: &str) -> Child {
    Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "the_worker", "--nocapture", "--test-threads=1"])
        .env(CHILD, does)
        .env(ARGUMENTS, arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started")
}

/// The exit code, standard output and standard error of a worker that ends by itself.
fn outcome(does: &str, arguments: &str) -> (i32, String, String) {
    let output = start(does, arguments).wait_with_output().expect("ended");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code().expect("a code"), text(output.stdout), text(output.stderr))
}

/// Starts a worker, waits until it runs, sends the signals (each after the line before which it
/// may not come), and answers the exit code and the log.
fn signalled(does: &str, arguments: &str, signals: &[(&str, &str)]) -> (i32, String) {
    let mut child = start(does, arguments);
    let mut lines = BufReader::new(child.stderr.take().expect("piped"));
    let mut log = String::new();
    for (after, signal) in signals {
        let from = log.len();
        while !log[from..].contains(after) {
            assert!(lines.read_line(&mut log).expect("readable") > 0, "ended early: {log}");
        }
        let pid = child.id().to_string();
        let sent = Command::new("kill").args([signal, &*pid]).status().expect("kill");
        assert!(sent.success());
    }
    lines.read_to_string(&mut log).expect("readable");
    (child.wait().expect("ended").code().unwrap_or(-1), log)
}

#[test]
fn a_signal_drains_and_ends_with_0() {
    for signal in ["-TERM", "-INT"] {
        let (code, log) = signalled("idles", "run", &[("running", signal)]);
        assert_eq!(code, 0, "{log}");
        assert!(log.contains("drained"), "{log}");
    }
}

#[test]
fn a_second_signal_ends_at_once_with_75() {
    let signals = [("running", "-TERM"), ("asked to end", "-TERM")];
    let (code, log) = signalled("hangs", "", &signals);
    assert_eq!(code, 75, "{log}");
}

#[test]
fn a_drain_that_takes_too_long_ends_with_75() {
    let arguments = "--set drain.drain_timeout_ms=150";
    let (code, log) = signalled("hangs", arguments, &[("running", "-TERM")]);
    assert_eq!(code, 75, "{log}");
    assert!(log.contains("150ms"), "{log}");
}

#[test]
fn a_worker_that_fails_ends_with_70_and_says_why() {
    let (code, _, log) = outcome("fails", "run");
    assert_eq!(code, 70);
    assert!(log.contains("the disk is full"), "{log}");
}

#[test]
fn a_loop_that_panics_ends_the_process_with_70() {
    let (code, _, log) = outcome("panics", "run");
    assert_eq!(code, 70, "{log}");
    assert!(log.contains("task loop panicked"), "{log}");
}

#[test]
fn a_configuration_error_is_one_line_and_ends_with_64() {
    for arguments in [
        "--set postgres.pool_size=3",
        "--set postgres.url=http://nowhere check-config",
        "--config /nowhere/config.toml migrate",
        "--set drain.drain_timeout_ms=0",
    ] {
        let (code, _, log) = outcome("idles", arguments);
        assert_eq!(code, 64, "{arguments}: {log}");
        assert_eq!(log.trim_end().lines().count(), 1, "{arguments}: {log}");
        assert!(log.starts_with("idle-worker: configuration"), "{log}");
    }
    assert_eq!(outcome("idles", "--no-such-flag").0, 64);
    let (code, _, log) = outcome("misconfigured", "");
    assert_eq!(code, 64);
    assert!(log.contains("no handler for tag X"), "{log}");
}

#[test]
fn migrate_check_config_reference_help_and_version_end_with_0() {
    let (code, _, log) = outcome("idles", "migrate");
    assert!(code == 0 && log.contains("migrated"), "{log}");
    let (code, printed, _) =
        outcome("idles", "check-config --set postgres.url=postgres://a:hunter2@db/x");
    assert!(code == 0 && printed.contains("postgres://a:***@db/x"), "{printed}");
    let (code, printed, _) = outcome("idles", "config-reference");
    assert!(code == 0 && printed.contains("statement_timeout_ms = 5000"), "{printed}");
    let (code, printed, _) = outcome("idles", "--help");
    assert!(code == 0 && printed.contains("Usage: idle-worker"), "{printed}");
    let (code, printed, _) = outcome("idles", "--version");
    assert!(code == 0 && printed.contains("idle-worker 1.2.3"), "{printed}");
}
