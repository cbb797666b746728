use std::ops::Deref;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, TryStreamExt as _};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Describe, Either, Execute, Executor, PgConnection, PgPool, Postgres, SqlStr};
use tokio::time::timeout;

use super::spoils_connection;
use crate::config::PostgresConfig;

/// The server ends each statement by itself; what it says of that is on its way for so long.
const SILENCE_GRACE: Duration = Duration::from_secs(1);
/// The statements of one transaction together may take so many times as long as one.
const TRANSACTION_LIMITS: u32 = 2;

/// A pool whose connections may not be silent: a statement without an answer within the server's own
/// limit is on a connection that leads nowhere. That one is closed, and never pooled.
///
/// It takes a statement as any executor does. What is asked of the [`PgPool`] inside has no limit.
#[derive(Debug, Clone)]
pub struct Pool {
    inner: PgPool,
    silence_max: Duration,
}

impl Pool {
    pub(super) fn new(inner: PgPool, config: &PostgresConfig) -> Self {
        let statement = Duration::from_millis(config.statement_timeout_ms);
        Self { inner, silence_max: statement + SILENCE_GRACE }
    }

    /// How long one statement may take.
    pub(super) fn statement_max(&self) -> Duration {
        self.silence_max
    }

    /// How long a transaction may take.
    pub(super) fn transaction_max(&self) -> Duration {
        self.silence_max * TRANSACTION_LIMITS
    }

    /// A connection that is closed unless it is given back.
    pub(super) async fn lend(&self) -> Result<Lent, sqlx::Error> {
        let connection = self.inner.acquire().await?;
        Ok(Lent { connection: Some(connection), test_max: self.silence_max })
    }

    async fn within<T>(
        &self,
        statement: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        timeout(self.silence_max, statement).await.unwrap_or_else(|_| Err(silent()))
    }
}

/// Nothing came back.
pub(super) fn silent() -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "the connection is silent"))
}

impl Deref for Pool {
    type Target = PgPool;

    fn deref(&self) -> &PgPool {
        &self.inner
    }
}

/// A connection in use. Dropped in the middle of a statement, it is closed.
pub(super) struct Lent {
    connection: Option<PoolConnection<Postgres>>,
    test_max: Duration,
}

impl Lent {
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        self.connection.as_mut().expect("it is given back only once")
    }

    /// Back to the pool, unless an error spoiled it. sqlx tests the connection before; one that does
    /// not answer is closed.
    pub(super) fn end<T>(mut self, done: &Result<T, sqlx::Error>) {
        if done.as_ref().is_err_and(spoils_connection) {
            return;
        }
        if let Some(mut connection) = self.connection.take() {
            let back = connection.return_to_pool();
            let test_max = self.test_max;
            tokio::spawn(async move {
                // When the time is up it is dropped, and that closes it.
                let _ = timeout(test_max, back).await;
            });
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(connection) = &mut self.connection {
            connection.close_on_drop();
        }
    }
}

impl<'p> Executor<'p> for &'p Pool {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        // All rows are read before the first one is given: however slowly they are taken, the limit is
        // the server's alone.
        let all = async move {
            let mut lent = self.lend().await?;
            let rows = lent.connection().fetch_many(query).try_collect::<Vec<_>>();
            let rows = self.within(rows).await;
            lent.end(&rows);
            rows
        };
        let rows = |rows: Vec<_>| stream::iter(rows.into_iter().map(Ok));
        Box::pin(stream::once(all).map_ok(rows).try_flatten())
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        Box::pin(async move {
            let mut lent = self.lend().await?;
            let done = self.within(lent.connection().fetch_optional(query)).await;
            lent.end(&done);
            done
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'p: 'e,
    {
        Box::pin(async move {
            let mut lent = self.lend().await?;
            let done = self.within(lent.connection().prepare_with(sql, parameters)).await;
            lent.end(&done);
            done
        })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
    where
        'p: 'e,
    {
        Box::pin(async move {
            let mut lent = self.lend().await?;
            let done = self.within(lent.connection().describe(sql)).await;
            lent.end(&done);
            done
        })
    }
}
