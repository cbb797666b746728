//! A whole session, read to be loaded into Redis.

use chrono::{DateTime, Utc};
use contracts::{SessionId, TicketId, UserId};
use sqlx::{Connection as _, PgConnection, Row as _};

use super::Store;
use super::reservation::read;
use crate::domain::Hold;

/// Rows in one page of a session.
const PAGE_ROWS: i64 = 5_000;
/// Released orders are loaded for so long: longer than any redelivery could ask for them.
const RECENT_DAYS: i32 = 7;
/// Longer than any transaction runs: what it wrote can't be missed by time of change.
const TRANSACTION_MAX_SECONDS: i32 = 60;

const HOLD_COLUMNS: &str =
    "order_no, session_id, user_id, hold, version, currency, lines, reason, updated_at";

/// The right to load one session, held by one process: an advisory lock on a connection of its
/// own, free again when this is dropped.
#[derive(Debug)]
pub struct LoadLease {
    connection: PgConnection,
    session_id: SessionId,
}

/// A session in one snapshot.
#[derive(Debug, Default)]
pub struct SessionSnapshot {
    pub taken_at: DateTime<Utc>,
    /// Free tickets by type.
    pub stock: Vec<(TicketId, i64)>,
    /// Live holds, and those that were released lately after they had been held.
    pub holds: Vec<(Hold, DateTime<Utc>)>,
    /// Tickets held and bought by user.
    pub users: Vec<(UserId, i64)>,
}

impl Store {
    /// Takes the session's lease; `None` when another process or call has it.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn load_lease(
        &self,
        session_id: SessionId,
    ) -> Result<Option<LoadLease>, sqlx::Error> {
        let mut connection = self.pool.acquire().await?.detach();
        let taken: bool =
            sqlx::query_scalar("SELECT pg_try_advisory_lock(hashtextextended($1, 0))")
                .bind(format!("stock.load.{session_id}"))
                .fetch_one(&mut connection)
                .await?;
        if taken {
            return Ok(Some(LoadLease { connection, session_id }));
        }
        // Nothing was asked of it that an error of closing could lose.
        let _ = connection.close().await;
        Ok(None)
    }

    /// The epoch of the session's last load that went to its end; 0 when there was none.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn loaded_epoch(&self, session_id: SessionId) -> Result<i64, sqlx::Error> {
        let epoch: Option<i64> =
            sqlx::query_scalar("SELECT loaded_epoch FROM stock.sessions WHERE session_id = $1")
                .bind(session_id.get())
                .fetch_optional(&self.pool)
                .await?;
        Ok(epoch.unwrap_or_default())
    }
}

impl LoadLease {
    /// Raises the session's epoch; from now on reservations under the old one are refused.
    /// `None` when the session has no ticket types.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn raise_epoch(&mut self) -> Result<Option<i64>, sqlx::Error> {
        let epochs: Vec<i64> = sqlx::query_scalar(
            "WITH locked AS MATERIALIZED ( \
               SELECT ticket_id, max(epoch) OVER () + 1 AS next FROM ( \
                 SELECT ticket_id, epoch FROM stock.ticket_types WHERE session_id = $1 \
                 ORDER BY ticket_id FOR UPDATE) AS types) \
             UPDATE stock.ticket_types AS t SET epoch = locked.next FROM locked \
             WHERE t.ticket_id = locked.ticket_id RETURNING t.epoch",
        )
        .bind(self.session_id.get())
        .fetch_all(&mut self.connection)
        .await?;
        Ok(epochs.into_iter().max())
    }

    /// Reads the session, all of one moment.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn snapshot(&mut self) -> Result<SessionSnapshot, sqlx::Error> {
        let connection = &mut self.connection;
        sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .execute(&mut *connection)
            .await?;
        let taken_at = sqlx::query_scalar("SELECT now()").fetch_one(&mut *connection).await?;
        let stock: Vec<(i64, i64)> = sqlx::query_as(
            "SELECT ticket_id, total - reserved - sold FROM stock.ticket_types \
             WHERE session_id = $1",
        )
        .bind(self.session_id.get())
        .fetch_all(&mut *connection)
        .await?;
        let stock = stock.into_iter().map(|(ticket, free)| (TicketId(ticket), free)).collect();
        // Refused orders left no record in Redis, so they need none.
        let filter = format!(
            "(status <> 'RELEASED' OR reason IS NULL \
             AND updated_at > now() - interval '{RECENT_DAYS} days')"
        );
        let holds = holds(connection, self.session_id, &filter).await?;
        let users = users(connection, self.session_id).await?;
        sqlx::raw_sql("COMMIT").execute(connection).await?;
        Ok(SessionSnapshot { taken_at, stock, holds, users })
    }

    /// Holds that may have changed since `taken_at`: what committed while Redis was filled.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn changed_since(
        &mut self,
        taken_at: DateTime<Utc>,
    ) -> Result<Vec<(Hold, DateTime<Utc>)>, sqlx::Error> {
        let filter = format!(
            "updated_at >= '{}'::timestamptz - interval '{TRANSACTION_MAX_SECONDS} seconds'",
            taken_at.to_rfc3339()
        );
        holds(&mut self.connection, self.session_id, &filter).await
    }

    /// Notes that the load for `epoch` went to its end.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn note_loaded(&mut self, epoch: i64) -> Result<(), sqlx::Error> {
        sqlx::query("UPDATE stock.sessions SET loaded_epoch = $2 WHERE session_id = $1")
            .bind(self.session_id.get())
            .bind(epoch)
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }

    /// Gives the lease back; once this returns, the next one can be taken.
    pub async fn release(mut self) {
        // The server frees the lock when the connection ends, however it ends, but only a moment
        // later: so it is freed first.
        let _ = sqlx::query("SELECT pg_advisory_unlock_all()").execute(&mut self.connection).await;
        let _ = self.connection.close().await;
    }
}

async fn holds(
    connection: &mut PgConnection,
    session_id: SessionId,
    filter: &str,
) -> Result<Vec<(Hold, DateTime<Utc>)>, sqlx::Error> {
    let sql = format!(
        "SELECT {HOLD_COLUMNS} FROM stock.reservations \
         WHERE session_id = $1 AND order_no > $2 AND {filter} ORDER BY order_no LIMIT $3"
    );
    let mut found: Vec<(Hold, DateTime<Utc>)> = Vec::new();
    loop {
        let after = found.last().map_or("", |(hold, _)| hold.order_no.as_str()).to_owned();
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql.clone()))
            .bind(session_id.get())
            .bind(after)
            .bind(PAGE_ROWS)
            .fetch_all(&mut *connection)
            .await?;
        for row in &rows {
            found.push((read(row)?, row.try_get("updated_at")?));
        }
        if (rows.len() as i64) < PAGE_ROWS {
            return Ok(found);
        }
    }
}

async fn users(
    connection: &mut PgConnection,
    session_id: SessionId,
) -> Result<Vec<(UserId, i64)>, sqlx::Error> {
    let rows: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT user_id, held FROM stock.user_holds WHERE session_id = $1 AND held > 0",
    )
    .bind(session_id.get())
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|(user_id, held)| (UserId(user_id), held)).collect())
}
