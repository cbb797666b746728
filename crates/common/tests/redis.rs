//! The connection to Redis, on a real one.

use std::time::Duration;

use common::config::RedisConfig;
use common::readiness::{Need, Readiness};
use common::{redis as runtime, testing};
use redis::AsyncCommands as _;
use tokio_util::sync::CancellationToken;

fn config(url: &str) -> RedisConfig {
    RedisConfig { url: url.parse().expect("a URL"), ..RedisConfig::default() }
}

#[tokio::test]
async fn the_connection_is_made_when_it_is_used() {
    let mut connection = runtime::connect(&config(&testing::redis_url()));
    let key = testing::unique("common");
    let _: () = connection.set_ex(&key, 7, 60).await.expect("set");
    assert_eq!(connection.get::<_, i64>(&key).await.expect("get"), 7);
}

#[tokio::test]
async fn while_redis_is_away_calls_fail_and_do_not_wait() {
    let mut connection = runtime::connect(&config("redis://127.0.0.1:1"));
    let asked = connection.get::<_, Option<i64>>("x");
    let answer = tokio::time::timeout(Duration::from_secs(5), asked).await.expect("in time");
    answer.expect_err("nobody there");
}

#[tokio::test]
async fn the_probe_says_whether_redis_answers() {
    let readiness = Readiness::new("test-worker");
    for (name, url, answers) in
        [("there", testing::redis_url(), true), ("nowhere", "redis://127.0.0.1:1".into(), false)]
    {
        let dependency = readiness.dependency(name, Need::Required);
        let stop = CancellationToken::new();
        let connection = runtime::connect(&config(&url));
        let probe = tokio::spawn(runtime::probe(connection, dependency.clone(), stop.clone()));
        let reported = async {
            while readiness.snapshot().dependencies.iter().any(|dependency| {
                dependency.name == name && dependency.reason.as_deref() == Some("not connected yet")
            }) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), reported).await.expect("reported in time");
        assert_eq!(dependency.is_up(), answers, "{name}");
        stop.cancel();
        probe.await.expect("ended");
    }
}
