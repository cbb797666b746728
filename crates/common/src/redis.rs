//! The connection to Redis: one, multiplexed, made when it is needed and again when it broke.

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use tokio_util::sync::CancellationToken;

use crate::backoff::{self, Backoff};
use crate::config::RedisConfig;
use crate::readiness::Dependency;

const RECONNECT_MIN: Duration = Duration::from_millis(50);
const RECONNECT_MAX: Duration = Duration::from_secs(2);
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// A connection that is made on first use. Calls fail while Redis is away; they don't wait for it.
pub fn connect(config: &RedisConfig) -> ConnectionManager {
    let settings = ConnectionManagerConfig::new()
        .set_min_delay(RECONNECT_MIN)
        .set_max_delay(RECONNECT_MAX)
        .set_number_of_retries(0)
        .set_connection_timeout(Some(Duration::from_millis(config.connect_timeout_ms)))
        .set_response_timeout(Some(Duration::from_millis(config.response_timeout_ms)));
    ConnectionManager::new_lazy_with_config(config.url.client(), settings)
        .expect("the address was checked when the configuration was read")
}

/// Asks Redis about its health until `stop`, and keeps `dependency` up to date.
pub async fn probe(
    mut connection: ConnectionManager,
    dependency: Dependency,
    stop: CancellationToken,
) {
    let mut backoff = Backoff::new(RECONNECT_MIN, RECONNECT_MAX);
    loop {
        let answer: redis::RedisResult<String> =
            redis::cmd("PING").query_async(&mut connection).await;
        let pause = match answer {
            Ok(_) => {
                dependency.up();
                backoff.reset();
                backoff::jitter(PROBE_INTERVAL)
            }
            Err(error) => {
                dependency.away(error);
                backoff.next_delay()
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}
