//! Redis is up when it answers and never evicts a key.

use common::backoff::Backoff;
use common::life::chain;
use common::readiness::Dependency;
use common::redis::Connection;
use tokio_util::sync::CancellationToken;

use std::time::Duration;

use crate::gate::Gate;

const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// Checks the server until it may be used, then keeps asking whether it answers.
pub(super) async fn run(
    connection: Connection,
    gate: Gate,
    redis: Dependency,
    stop: CancellationToken,
) {
    let mut backoff = Backoff::new(RETRY_MIN, RETRY_MAX);
    loop {
        match gate.check_server().await {
            Ok(server) => {
                if let Some(warning) = server.persistence_warning() {
                    tracing::warn!("{warning}");
                }
                break;
            }
            Err(error) => redis.away(chain(&error)),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(backoff.next_delay()) => {}
        }
    }
    common::redis::probe(connection, redis, stop).await;
}
