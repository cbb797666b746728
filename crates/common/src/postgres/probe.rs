use std::time::Duration;

use sqlx::{ConnectOptions as _, PgConnection};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::backoff::{self, Backoff};
use crate::config::PostgresConfig;
use crate::readiness::Dependency;

const INTERVAL: Duration = Duration::from_secs(1);
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(3);

/// Asks the database about its health until `stop`, and keeps `dependency` up to date.
///
/// It has a connection of its own: a pool whose connections are all busy is not an outage.
pub async fn probe(config: PostgresConfig, dependency: Dependency, stop: CancellationToken) {
    let limit = Duration::from_millis(config.statement_timeout_ms);
    let mut backoff = Backoff::new(RETRY_MIN, RETRY_MAX);
    let mut connection = None;
    loop {
        let asked = tokio::select! {
            () = stop.cancelled() => return,
            asked = timeout(limit, ask(&config, &mut connection)) => asked,
        };
        let problem = match asked {
            Ok(Ok(None)) => None,
            Ok(Ok(Some(problem))) => Some(problem.to_owned()),
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("no answer within {} ms", limit.as_millis())),
        };
        let pause = if let Some(reason) = problem {
            dependency.away(reason);
            connection = None;
            backoff.next_delay()
        } else {
            dependency.up();
            backoff.reset();
            backoff::jitter(INTERVAL)
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// `None` when all is well, else what is wrong.
async fn ask(
    config: &PostgresConfig,
    connection: &mut Option<PgConnection>,
) -> Result<Option<&'static str>, sqlx::Error> {
    let connected = match connection {
        Some(connected) => connected,
        None => {
            let options = config.url.options().application_name("boxoffice probe");
            connection.insert(options.connect().await?)
        }
    };
    let read_only: bool =
        sqlx::query_scalar("SELECT pg_is_in_recovery()").fetch_one(connected).await?;
    Ok(read_only.then_some("the server is a standby: it only reads"))
}
