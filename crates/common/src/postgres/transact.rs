use std::time::Duration;

use futures::future::BoxFuture;
use sqlx::{Connection as _, PgConnection};
use tokio::time::timeout;

use super::pool::{Pool, silent};
use super::spoils_connection;

/// Runs `work` in a transaction and commits it, in a task of its own.
///
/// The transaction ends whole even when the caller is dropped. Once this returns `Ok`, it is
/// committed. A connection that an error spoiled is closed, not pooled.
///
/// # Errors
/// What PostgreSQL says; then nothing is written, or (when the connection broke during the
/// commit) the outcome is unknown: load again.
pub async fn transact<T, F>(pool: &Pool, work: F) -> Result<T, sqlx::Error>
where
    T: Send + 'static,
    F: for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<T, sqlx::Error>>
        + Send
        + 'static,
{
    let limit = pool.transaction_max();
    detached(pool, limit, move |connection| Box::pin(run(connection, work))).await
}

/// Runs `work` on a connection of its own, in a task of its own, at most for `limit`. A connection
/// that is silent for longer is closed, and so is one that an error spoiled.
pub(super) async fn detached<T, F>(pool: &Pool, limit: Duration, work: F) -> Result<T, sqlx::Error>
where
    T: Send + 'static,
    F: for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<T, sqlx::Error>>
        + Send
        + 'static,
{
    let pool = pool.clone();
    let task = tokio::spawn(async move {
        let mut lent = pool.lend().await?;
        let done = timeout(limit, work(lent.connection())).await;
        let done = done.unwrap_or_else(|_| Err(silent()));
        lent.end(&done);
        done
    });
    match task.await {
        Ok(done) => done,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(sqlx::Error::WorkerCrashed),
    }
}

async fn run<T, F>(connection: &mut PgConnection, work: F) -> Result<T, sqlx::Error>
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
