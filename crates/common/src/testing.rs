//! Databases, addresses and names for tests on real servers.
//!
//! Part of every build, so that tests and workers share what was compiled; a worker uses none of
//! it, and has none of it in its binary.
//!
//! `cargo stack test` starts the servers and says where they are, in environment variables. A
//! test without them panics and says so: it is never skipped.

use std::time::Duration;

mod database;
mod door;

pub use database::{TestDatabase, postgres_config, postgres_database};
pub use door::Door;

/// The longest wait of [`until`].
const UNTIL_MAX: Duration = Duration::from_secs(20);

/// A superuser's database.
pub const POSTGRES: &str = "BOXOFFICE_TEST_POSTGRES";
pub const REDIS: &str = "BOXOFFICE_TEST_REDIS";
pub const NAME_SERVER: &str = "BOXOFFICE_TEST_NAMESRV";

/// Where the tests' PostgreSQL is.
pub fn postgres_url() -> String {
    required(POSTGRES)
}

/// Where the tests' Redis is; tests share it, so each uses sessions or a prefix of its own.
pub fn redis_url() -> String {
    required(REDIS)
}

/// Where the tests' RocketMQ name server is; each test uses topics and groups of its own.
pub fn name_server() -> String {
    required(NAME_SERVER)
}

/// A name that no other test, process or run has: lower-case letters, digits and `_` after
/// `prefix`.
pub fn unique(prefix: &str) -> String {
    format!("{prefix}_{:016x}", rand::random::<u64>())
}

/// A positive number that no other test has, for ids of sessions and the like.
pub fn unique_number() -> i64 {
    rand::random_range(1..=i64::MAX / 2)
}

/// Waits for a condition that other tasks bring about.
///
/// # Panics
/// When it has not come about within 20 s.
pub async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(UNTIL_MAX, wait).await.expect("it came about in time");
}

fn required(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set: run: cargo stack test"))
}
