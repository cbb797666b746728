//! Stock as operators see it.

use contracts::{Amount, SaleState, SessionId, ShowId, TicketId};
use rust_decimal::Decimal;
use sqlx::Row as _;

use super::{Store, unreadable};

/// A session's counters, of one snapshot.
#[derive(Debug, Clone)]
pub struct StockView {
    pub session_id: SessionId,
    pub show_id: ShowId,
    pub name: String,
    pub state: SaleState,
    pub version: i64,
    /// Which filling of Redis is the right one; 0 when it was never loaded.
    pub epoch: i64,
    pub ticket_types: Vec<StockRow>,
}

/// One ticket type's counters.
#[derive(Debug, Clone)]
pub struct StockRow {
    pub ticket_id: TicketId,
    pub name: String,
    pub unit_price: Amount,
    pub total: i64,
    pub reserved: i64,
    pub sold: i64,
}

impl StockRow {
    /// What is neither held nor sold.
    pub fn available(&self) -> i64 {
        self.total - self.reserved - self.sold
    }
}

impl Store {
    /// A session's counters; `None` when there is no such session.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn stock(&self, session_id: SessionId) -> Result<Option<StockView>, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT s.show_id, s.name, s.state, s.version, t.ticket_id, t.name AS ticket_name, \
               t.unit_price, t.total, t.reserved, t.sold, t.epoch \
             FROM stock.sessions AS s LEFT JOIN stock.ticket_types AS t USING (session_id) \
             WHERE s.session_id = $1 ORDER BY t.ticket_id",
        )
        .bind(session_id.get())
        .fetch_all(&self.pool)
        .await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let mut view = StockView {
            session_id,
            show_id: ShowId(first.try_get("show_id")?),
            name: first.try_get("name")?,
            state: first.try_get::<&str, _>("state")?.parse().map_err(unreadable)?,
            version: first.try_get("version")?,
            epoch: 0,
            ticket_types: Vec::with_capacity(rows.len()),
        };
        for row in &rows {
            let Some(ticket_id) = row.try_get::<Option<i64>, _>("ticket_id")? else { continue };
            view.epoch = view.epoch.max(row.try_get("epoch")?);
            view.ticket_types.push(StockRow {
                ticket_id: TicketId(ticket_id),
                name: row.try_get("ticket_name")?,
                unit_price: Amount::new(row.try_get::<Decimal, _>("unit_price")?)
                    .map_err(unreadable)?,
                total: row.try_get("total")?,
                reserved: row.try_get("reserved")?,
                sold: row.try_get("sold")?,
            });
        }
        Ok(Some(view))
    }

    /// The sessions of some ticket types.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn sessions_of(&self, tickets: &[TicketId]) -> Result<Vec<SessionId>, sqlx::Error> {
        let tickets: Vec<i64> = tickets.iter().map(|ticket_id| ticket_id.get()).collect();
        let rows: Vec<i64> = sqlx::query_scalar(
            "SELECT DISTINCT session_id FROM stock.ticket_types WHERE ticket_id = ANY($1::int8[])",
        )
        .bind(tickets)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(SessionId).collect())
    }

    /// The present epochs of sessions; those without ticket types are not among them.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn epochs(
        &self,
        sessions: &[SessionId],
    ) -> Result<Vec<(SessionId, i64)>, sqlx::Error> {
        let sessions: Vec<i64> = sessions.iter().map(|session_id| session_id.get()).collect();
        let rows: Vec<(i64, i64)> = sqlx::query_as(
            "SELECT session_id, max(epoch) FROM stock.ticket_types \
             WHERE session_id = ANY($1::int8[]) GROUP BY session_id",
        )
        .bind(sessions)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|(session_id, epoch)| (SessionId(session_id), epoch)).collect())
    }
}
