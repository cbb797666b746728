//! A row of `stock.reservations`.

use chrono::{DateTime, Utc};
use contracts::{Amount, OrderNo, SessionId, TicketId, UserId};
use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::{Store, unreadable};
use crate::domain::{Hold, Line, LineState, RedisView};

/// A line as the column `lines` has it.
#[derive(Debug, Serialize, Deserialize)]
struct StoredLine {
    ticket: i64,
    qty: u32,
    state: String,
    unit_price: Option<Amount>,
}

/// A reservation as an operator sees it.
#[derive(Debug, Clone)]
pub struct ReservationView {
    pub hold: Hold,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

pub(super) fn lines_text(lines: &[Line]) -> String {
    let lines: Vec<StoredLine> = lines
        .iter()
        .map(|line| StoredLine {
            ticket: line.ticket_id.get(),
            qty: line.quantity,
            state: line.state.as_str().to_owned(),
            unit_price: line.unit_price,
        })
        .collect();
    serde_json::to_string(&lines).expect("lines are always JSON")
}

pub(super) fn read_lines(text: &str) -> Result<Vec<Line>, sqlx::Error> {
    let lines: Vec<StoredLine> = serde_json::from_str(text).map_err(unreadable)?;
    lines
        .into_iter()
        .map(|line| {
            let state = LineState::from_name(&line.state)
                .ok_or_else(|| unreadable(format_args!("line state {:?}", line.state)))?;
            Ok(Line {
                ticket_id: TicketId(line.ticket),
                quantity: line.qty,
                state,
                unit_price: line.unit_price,
            })
        })
        .collect()
}

/// Reads the columns `order_no, session_id, user_id, hold, version, currency, lines, reason`.
pub(super) fn read(row: &PgRow) -> Result<Hold, sqlx::Error> {
    let currency: Option<&str> = row.try_get("currency")?;
    let reason: Option<&str> = row.try_get("reason")?;
    Ok(Hold {
        order_no: OrderNo::new(row.try_get::<&str, _>("order_no")?).map_err(unreadable)?,
        session_id: SessionId(row.try_get("session_id")?),
        user_id: row.try_get::<Option<i64>, _>("user_id")?.map(UserId),
        hold: row.try_get("hold")?,
        version: row.try_get("version")?,
        currency: currency.map(str::parse).transpose().map_err(unreadable)?,
        lines: read_lines(row.try_get("lines")?)?,
        // A reason that a later build wrote is kept in the row, but not understood here.
        reason: reason.and_then(|text| text.parse().ok()),
        granted_epoch: None,
        redis: RedisView::Unsure,
    })
}

impl Store {
    /// One order's reservation.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn reservation(
        &self,
        order_no: &OrderNo,
    ) -> Result<Option<ReservationView>, sqlx::Error> {
        let row = sqlx::query(
            "SELECT order_no, session_id, user_id, hold, version, currency, lines, reason, \
               created_at, updated_at \
             FROM stock.reservations WHERE order_no = $1",
        )
        .bind(order_no.as_str())
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| {
            Ok(ReservationView {
                hold: read(&row)?,
                created_at: row.try_get("created_at")?,
                updated_at: row.try_get("updated_at")?,
            })
        })
        .transpose()
    }
}
