use std::time::Duration;

use futures::future::BoxFuture;
use sqlx::pool::PoolConnection;
use sqlx::{Connection as _, PgConnection, PgPool, Postgres};
use tokio::time::timeout;

use super::spoils_connection;

/// The server ends every statement and every idle transaction in less time than this; a
/// connection that is silent for longer is dead, and is closed rather than pooled.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Runs `work` in a transaction and commits it, in a task of its own.
///
/// The transaction ends whole even when the caller is dropped. Once this returns `Ok`, it is
/// committed. A connection that an error spoiled is closed, not pooled.
///
/// # Errors
/// What PostgreSQL says; then nothing is written, or (when the connection broke during the
/// commit) the outcome is unknown: load again.
pub async fn transact<T, F>(pool: &PgPool, work: F) -> Result<T, sqlx::Error>
where
    T: Send + 'static,
    F: for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<T, sqlx::Error>>
        + Send
        + 'static,
{
    detached(pool, move |connection| Box::pin(run(connection, work))).await
}

/// Runs `work` on a connection of its own, in a task of its own. A connection that an error spoiled
/// is closed, not pooled.
pub(super) async fn detached<T, F>(pool: &PgPool, work: F) -> Result<T, sqlx::Error>
where
    T: Send + 'static,
    F: for<'c> FnOnce(&'c mut PoolConnection<Postgres>) -> BoxFuture<'c, Result<T, sqlx::Error>>
        + Send
        + 'static,
{
    let pool = pool.clone();
    let task = tokio::spawn(async move {
        let mut connection = pool.acquire().await?;
        let Ok(done) = timeout(SILENCE_MAX, work(&mut connection)).await else {
            connection.close_on_drop();
            return Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()));
        };
        if done.as_ref().is_err_and(spoils_connection) {
            connection.close_on_drop();
        }
        done
    });
    match task.await {
        Ok(done) => done,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(sqlx::Error::WorkerCrashed),
    }
}

async fn run<T, F>(connection: &mut PoolConnection<Postgres>, work: F) -> Result<T, sqlx::Error>
where
    F: for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<T, sqlx::Error>>,
{
    let mut transaction = connection.begin().await?;
    match work(&mut transaction).await {
        Ok(done) => {
            transaction.commit().await?;
            Ok(done)
        }
        Err(error) => {
            if !spoils_connection(&error) {
                transaction.rollback().await?;
            }
            Err(error)
        }
    }
}
