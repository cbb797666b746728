//! The connection to Redis, on a real one.

use std::time::Duration;

use common::config::RedisConfig;
use common::readiness::{Need, Readiness};
use common::redis as runtime;
use common::testing::{self, Door, until};
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
async fn a_redis_that_comes_and_goes_is_reported_and_used_again() {
    let url: url::Url = testing::redis_url().parse().expect("a URL");
    let server = format!("{}:{}", url.host_str().expect("a host"), url.port().unwrap_or(6379));
    let door = Door::before(server).await;
    let mut connection = runtime::connect(&config(&format!("redis://{}", door.address())));

    let readiness = Readiness::new("test-worker");
    let dependency = readiness.dependency("redis", Need::Required);
    let stop = CancellationToken::new();
    let probe = tokio::spawn(runtime::probe(connection.clone(), dependency.clone(), stop.clone()));
    until(|| readiness.snapshot().dependencies[0].reason.as_deref() != Some("not connected yet"))
        .await;
    assert!(!dependency.is_up());

    for _ in 0..2 {
        door.open();
        until(|| dependency.is_up()).await;
        let _: Option<i64> = connection.get("x").await.expect("it answers");
        door.shut();
        until(|| !dependency.is_up()).await;
    }
    stop.cancel();
    probe.await.expect("ended");
}

#[tokio::test]
async fn a_connection_that_is_silent_is_replaced() {
    let url: url::Url = testing::redis_url().parse().expect("a URL");
    let server = format!("{}:{}", url.host_str().expect("a host"), url.port().unwrap_or(6379));
    let door = Door::before(server).await;
    door.open();
    let mut connection = runtime::connect(&config(&format!("redis://{}", door.address())));
    for _ in 0..2 {
        let _: Option<i64> = connection.get("x").await.expect("it answers");
        door.strand();
        let mut other = connection.clone();
        let mut pipe = redis::pipe();
        pipe.get("x").get("y");
        let both = tokio::join!(
            connection.get::<_, Option<i64>>("x"),
            pipe.query_async::<Vec<Option<i64>>>(&mut other),
        );
        assert!(both.0.expect_err("nothing comes back").is_timeout());
        assert!(both.1.expect_err("nothing comes back").is_timeout());
    }
    let _: Option<i64> = connection.get("x").await.expect("a new connection");
}
