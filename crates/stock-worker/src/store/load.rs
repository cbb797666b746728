//! Reading a batch's states and facts: one statement, one snapshot.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use common::pipeline::StoreError;
use contracts::{Amount, OrderNo, SessionId, TicketId};
use rust_decimal::Decimal;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::reservation::read_lines;
use super::{Store, store_error, unreadable};
use crate::domain::{Facts, Hold, RedisView, Session, TicketType};

/// Rows of five kinds in one answer, told apart by `kind`; the columns serve them all.
const LOAD: &str = "\
WITH found AS MATERIALIZED ( \
  SELECT order_no, session_id, user_id, hold, version, currency, lines, reason \
  FROM stock.reservations WHERE order_no = ANY($1::text[])), \
wanted AS MATERIALIZED ( \
  SELECT s FROM unnest($2::int8[]) AS t(s) \
  UNION SELECT session_id FROM stock.ticket_types WHERE ticket_id = ANY($3::int8[]) \
  UNION SELECT session_id FROM found) \
SELECT 0 AS kind, NULL::text AS a, NULL::text AS b, NULL::text AS c, NULL::text AS d, \
  NULL::int8 AS m, NULL::int8 AS n, NULL::int8 AS o, NULL::int8 AS p, NULL::numeric AS price, \
  NULL::uuid AS id, now() AS t, NULL::timestamptz AS u \
UNION ALL SELECT 1, order_no, currency, lines, reason, session_id, user_id, hold, version, NULL, \
  NULL, NULL, NULL FROM found \
UNION ALL SELECT 2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, event_id, NULL, NULL \
  FROM stock.inbox WHERE consumer_group = $4 AND event_id = ANY($5::uuid[]) \
UNION ALL SELECT 3, state, currency, NULL, NULL, session_id, per_user_limit, NULL, NULL, NULL, \
  NULL, sale_starts_at, sale_ends_at \
  FROM stock.sessions WHERE session_id IN (SELECT s FROM wanted) \
UNION ALL SELECT 4, NULL, NULL, NULL, NULL, session_id, ticket_id, per_order_limit, epoch, \
  unit_price, NULL, NULL, NULL \
  FROM stock.ticket_types WHERE session_id IN (SELECT s FROM wanted)";

/// What a batch is decided on.
#[derive(Debug, Default)]
pub struct Snapshot {
    pub holds: HashMap<OrderNo, Hold>,
    /// Events that the inbox knows.
    pub known: HashSet<Uuid>,
    pub facts: Facts,
}

impl Store {
    /// Reads the holds of `orders`, which of `events` the inbox of `group` knows, and the sales
    /// of the sessions that are named, that the ticket types belong to, or that the holds are in.
    ///
    /// # Errors
    /// The database is away, or data can't be read.
    pub async fn load(
        &self,
        group: &str,
        orders: &[&str],
        sessions: &[i64],
        tickets: &[i64],
        events: &[Uuid],
    ) -> Result<Snapshot, StoreError> {
        let rows = sqlx::query(LOAD)
            .bind(orders)
            .bind(sessions)
            .bind(tickets)
            .bind(group)
            .bind(events)
            .fetch_all(&self.pool)
            .await
            .map_err(|error| store_error(&error))?;
        let mut snapshot = Snapshot::default();
        let mut epochs: HashMap<SessionId, i64> = HashMap::new();
        for row in &rows {
            snapshot.take(row, &mut epochs).map_err(|error| store_error(&error))?;
        }
        for (session_id, session) in &mut snapshot.facts.sessions {
            session.epoch = epochs.get(session_id).copied().unwrap_or(0);
        }
        Ok(snapshot)
    }
}

impl Snapshot {
    fn take(
        &mut self,
        row: &PgRow,
        epochs: &mut HashMap<SessionId, i64>,
    ) -> Result<(), sqlx::Error> {
        match row.try_get::<i32, _>("kind")? {
            0 => self.facts.now = row.try_get("t")?,
            1 => {
                let hold = hold(row)?;
                self.holds.insert(hold.order_no.clone(), hold);
            }
            2 => {
                self.known.insert(row.try_get("id")?);
            }
            3 => {
                self.facts.sessions.insert(SessionId(row.try_get("m")?), session(row)?);
            }
            4 => {
                let session_id = SessionId(row.try_get("m")?);
                let epoch = epochs.entry(session_id).or_default();
                *epoch = row.try_get::<i64, _>("p")?.max(*epoch);
                let ticket = ticket(row, session_id)?;
                self.facts.tickets.insert(TicketId(row.try_get("n")?), ticket);
            }
            kind => return Err(unreadable(format_args!("row of kind {kind}"))),
        }
        Ok(())
    }
}

fn hold(row: &PgRow) -> Result<Hold, sqlx::Error> {
    let hold: i64 = row.try_get("o")?;
    Ok(Hold {
        order_no: OrderNo::new(row.try_get::<&str, _>("a")?).map_err(unreadable)?,
        session_id: SessionId(row.try_get("m")?),
        user_id: row.try_get::<Option<i64>, _>("n")?.map(Into::into),
        hold: i32::try_from(hold).map_err(unreadable)?,
        version: row.try_get("p")?,
        currency: row
            .try_get::<Option<&str>, _>("b")?
            .map(str::parse)
            .transpose()
            .map_err(unreadable)?,
        lines: read_lines(row.try_get("c")?)?,
        reason: row.try_get::<Option<&str>, _>("d")?.and_then(|text| text.parse().ok()),
        granted_epoch: None,
        redis: RedisView::Unsure,
    })
}

fn session(row: &PgRow) -> Result<Session, sqlx::Error> {
    let times = |column| row.try_get::<Option<DateTime<Utc>>, _>(column);
    Ok(Session {
        state: row.try_get::<&str, _>("a")?.parse().map_err(unreadable)?,
        sale_starts_at: times("t")?,
        sale_ends_at: times("u")?,
        currency: row.try_get::<&str, _>("b")?.parse().map_err(unreadable)?,
        per_user_limit: small(row.try_get("n")?)?,
        epoch: 0,
    })
}

fn ticket(row: &PgRow, session_id: SessionId) -> Result<TicketType, sqlx::Error> {
    let price: Decimal = row.try_get("price")?;
    Ok(TicketType {
        session_id,
        unit_price: Amount::new(price).map_err(unreadable)?,
        per_order_limit: small(row.try_get("o")?)?,
    })
}

fn small(number: Option<i64>) -> Result<Option<u32>, sqlx::Error> {
    number.map(u32::try_from).transpose().map_err(unreadable)
}
