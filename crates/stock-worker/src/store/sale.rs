//! `SALE_CHANGED`: every change of a sale raises its version and is said in the same transaction.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use common::bus::Destination;
use common::postgres::transact;
use common::{ids, outbox};
use contracts::{
    Amount, Body as _, Currency, LocalTime, Quantity, SaleChanged, SaleState, SaleTicketType,
    SessionId, ShowId, Tag, TicketId,
};
use futures::FutureExt as _;
use rust_decimal::Decimal;
use sqlx::{PgConnection, Row as _};

use super::{Store, unreadable};

/// A sale after a change.
#[derive(Debug, Clone)]
pub struct SaleUpdate {
    pub version: i64,
    pub state: SaleState,
    /// Committed with the change, to be handed to the relay; none when nothing changed.
    pub row: Option<outbox::Row>,
}

impl Store {
    /// Opens or closes a sale; `None` when there is no such session.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn set_state(
        &self,
        session_id: SessionId,
        state: SaleState,
    ) -> Result<Option<SaleUpdate>, sqlx::Error> {
        let store = self.clone();
        transact(&self.pool, move |connection| {
            async move {
                let found: Option<(String, i64)> = sqlx::query_as(
                    "SELECT state, version FROM stock.sessions WHERE session_id = $1 FOR UPDATE",
                )
                .bind(session_id.get())
                .fetch_optional(&mut *connection)
                .await?;
                let Some((before, version)) = found else { return Ok(None) };
                if before == state.as_str() {
                    return Ok(Some(SaleUpdate { version, state, row: None }));
                }
                sqlx::query(
                    "UPDATE stock.sessions SET state = $2, version = version + 1, \
                       updated_at = now() WHERE session_id = $1",
                )
                .bind(session_id.get())
                .bind(state.as_str())
                .execute(&mut *connection)
                .await?;
                let row = store.publish_sale(connection, session_id).await?;
                Ok(Some(SaleUpdate { version: version + 1, state, row: Some(row) }))
            }
            .boxed()
        })
        .await
    }

    /// Sessions of which some ticket type is sold out, or is not any more, and was said otherwise.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn stale_flags(&self) -> Result<Vec<SessionId>, sqlx::Error> {
        let sessions: Vec<i64> = sqlx::query_scalar(
            "SELECT DISTINCT session_id FROM stock.ticket_types \
             WHERE sold_out <> (reserved + sold >= total)",
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(sessions.into_iter().map(SessionId).collect())
    }

    /// Says a session's sold-out flags, unless they were said less than `interval` ago (by any
    /// process) or are right by now.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn publish_flags(
        &self,
        session_id: SessionId,
        interval: Duration,
    ) -> Result<Option<outbox::Row>, sqlx::Error> {
        let store = self.clone();
        transact(&self.pool, move |connection| {
            async move {
                // The row's lock is what makes one process win.
                let due = sqlx::query(
                    "UPDATE stock.sessions SET flags_at = clock_timestamp() \
                     WHERE session_id = $1 \
                       AND flags_at <= clock_timestamp() - $2::float8 * interval '1 second'",
                )
                .bind(session_id.get())
                .bind(interval.as_secs_f64())
                .execute(&mut *connection)
                .await?;
                if due.rows_affected() == 0 {
                    return Ok(None);
                }
                let changed = sqlx::query(
                    "WITH locked AS MATERIALIZED ( \
                       SELECT ticket_id FROM stock.ticket_types WHERE session_id = $1 \
                       ORDER BY ticket_id FOR UPDATE) \
                     UPDATE stock.ticket_types AS t \
                     SET sold_out = (t.reserved + t.sold >= t.total) FROM locked \
                     WHERE t.ticket_id = locked.ticket_id \
                       AND t.sold_out <> (t.reserved + t.sold >= t.total)",
                )
                .bind(session_id.get())
                .execute(&mut *connection)
                .await?;
                if changed.rows_affected() == 0 {
                    return Ok(None);
                }
                sqlx::query(
                    "UPDATE stock.sessions SET version = version + 1, updated_at = now() \
                     WHERE session_id = $1",
                )
                .bind(session_id.get())
                .execute(&mut *connection)
                .await?;
                store.publish_sale(connection, session_id).await.map(Some)
            }
            .boxed()
        })
        .await
    }

    /// Writes `SALE_CHANGED` as the session is in this transaction.
    pub(super) async fn publish_sale(
        &self,
        connection: &mut PgConnection,
        session_id: SessionId,
    ) -> Result<outbox::Row, sqlx::Error> {
        let (sale, now) = read_sale(connection, session_id).await?;
        let event_id = ids::event_id();
        let row = outbox::Row {
            batch_id: event_id,
            event_id,
            session_id: session_id.get(),
            key: session_id.to_string().into(),
            destination: Destination::Topic(self.topic.clone()),
            tag: Tag::SaleChanged.as_str().into(),
            body: Bytes::from(sale.to_body().map_err(unreadable)?),
            aggregate_version: sale.version,
            occurred_at: now,
            causation_id: None,
            traceparent: None,
            properties: std::collections::BTreeMap::new(),
        };
        self.outbox.insert(connection, &[&row], self.lease).await?;
        Ok(row)
    }
}

async fn read_sale(
    connection: &mut PgConnection,
    session_id: SessionId,
) -> Result<(SaleChanged, DateTime<Utc>), sqlx::Error> {
    let row = sqlx::query(
        "SELECT show_id, version, state, sale_starts_at, sale_ends_at, currency, hold_seconds, \
           per_user_limit, clock_timestamp() AS now \
         FROM stock.sessions WHERE session_id = $1",
    )
    .bind(session_id.get())
    .fetch_one(&mut *connection)
    .await?;
    let show_id = ShowId(row.try_get("show_id")?);
    let currency: Currency = row.try_get::<&str, _>("currency")?.parse().map_err(unreadable)?;
    let now: DateTime<Utc> = row.try_get("now")?;
    let mut sale = SaleChanged::new(show_id, session_id, row.try_get("version")?, currency);
    sale.state = row.try_get::<&str, _>("state")?.parse().map_err(unreadable)?;
    sale.sale_starts_at = row.try_get("sale_starts_at")?;
    sale.sale_ends_at = row.try_get("sale_ends_at")?;
    let hold_seconds: Option<i32> = row.try_get("hold_seconds")?;
    sale.hold_seconds = hold_seconds.map(i32::unsigned_abs);
    sale.per_user_limit = row.try_get("per_user_limit")?;
    sale.event_time = LocalTime::new(now).ok();
    let tickets = sqlx::query(
        "SELECT ticket_id, name, unit_price, per_order_limit, sold_out FROM stock.ticket_types \
         WHERE session_id = $1 ORDER BY ticket_id",
    )
    .bind(session_id.get())
    .fetch_all(connection)
    .await?;
    for ticket in &tickets {
        let limit: Option<i32> = ticket.try_get("per_order_limit")?;
        sale.ticket_types.push(SaleTicketType {
            ticket_id: TicketId(ticket.try_get("ticket_id")?),
            name: ticket.try_get("name")?,
            unit_price: Amount::new(ticket.try_get::<Decimal, _>("unit_price")?)
                .map_err(unreadable)?,
            per_order_limit: limit.map(Quantity::new).transpose().map_err(unreadable)?,
            sold_out: ticket.try_get("sold_out")?,
            extra: contracts::Extra::new(),
        });
    }
    Ok((sale, now))
}
