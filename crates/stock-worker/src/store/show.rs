//! Storing a show: an upsert that says nothing when nothing changes.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use common::outbox;
use common::postgres::transact;
use contracts::{Amount, Currency, SessionId, ShowId, TicketId};
use futures::FutureExt as _;
use rust_decimal::Decimal;
use sqlx::{PgConnection, Row as _};

use super::{Store, unreadable};

/// A show as it shall be. What it does not name stays as it is.
#[derive(Debug, Clone)]
pub struct NewShow {
    pub show_id: ShowId,
    pub name: String,
    pub sessions: Vec<NewSession>,
}

/// One evening of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSession {
    pub session_id: SessionId,
    pub name: String,
    pub sale_starts_at: Option<DateTime<Utc>>,
    pub sale_ends_at: Option<DateTime<Utc>>,
    pub currency: Currency,
    pub hold_seconds: Option<i32>,
    pub per_user_limit: Option<i32>,
    pub ticket_types: Vec<NewTicketType>,
}

/// One ticket type of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTicketType {
    pub ticket_id: TicketId,
    pub name: String,
    pub unit_price: Amount,
    pub per_order_limit: Option<i32>,
    pub total: i64,
}

/// Why a show can't be stored; nothing was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutError {
    SessionOfOtherShow { session_id: SessionId, show_id: ShowId },
    TicketOfOtherSession { ticket_id: TicketId, session_id: SessionId },
    TotalTooLow { ticket_id: TicketId, taken: i64 },
    CurrencyInUse { session_id: SessionId, currency: Currency },
}

/// What storing did.
#[derive(Debug, Clone)]
pub struct PutOutcome {
    pub sessions: Vec<StoredSession>,
    /// Committed, to be handed to the relay.
    pub rows: Vec<outbox::Row>,
}

/// A session after storing.
#[derive(Debug, Clone)]
pub struct StoredSession {
    pub session_id: SessionId,
    pub version: i64,
    /// 0 when it was never loaded into Redis.
    pub epoch: i64,
    pub changed: bool,
}

/// A session that is there, locked.
struct Known {
    show_id: i64,
    version: i64,
    session: NewSession,
}

/// A ticket type that is there, locked.
struct KnownTicket {
    session_id: SessionId,
    ticket: NewTicketType,
    taken: i64,
    epoch: i64,
}

impl Store {
    /// Stores a show, all or nothing; each session that changes is said in `SALE_CHANGED`.
    ///
    /// A session that was loaded gets a new epoch when its totals change: Redis then answers
    /// `STALE_EPOCH` until it is loaded again.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn put_show(
        &self,
        show: NewShow,
    ) -> Result<Result<PutOutcome, PutError>, sqlx::Error> {
        let store = self.clone();
        transact(&self.pool, move |connection| {
            async move { store.put(connection, &show).await }.boxed()
        })
        .await
    }

    async fn put(
        &self,
        connection: &mut PgConnection,
        show: &NewShow,
    ) -> Result<Result<PutOutcome, PutError>, sqlx::Error> {
        let sessions = lock_sessions(connection, show).await?;
        let tickets = lock_tickets(connection, show).await?;
        if let Err(refused) = check(show, &sessions, &tickets) {
            return Ok(Err(refused));
        }
        sqlx::query(
            "INSERT INTO stock.shows AS s (show_id, name) VALUES ($1, $2) \
             ON CONFLICT (show_id) DO UPDATE SET name = excluded.name, updated_at = now() \
             WHERE s.name <> excluded.name",
        )
        .bind(show.show_id.get())
        .bind(&show.name)
        .execute(&mut *connection)
        .await?;
        let mut outcome = PutOutcome { sessions: Vec::new(), rows: Vec::new() };
        for session in &show.sessions {
            let known = sessions.get(&session.session_id);
            let stored =
                self.put_session(connection, show.show_id, session, known, &tickets).await?;
            if stored.changed {
                outcome.rows.push(self.publish_sale(connection, session.session_id).await?);
            }
            outcome.sessions.push(stored);
        }
        Ok(Ok(outcome))
    }

    async fn put_session(
        &self,
        connection: &mut PgConnection,
        show_id: ShowId,
        session: &NewSession,
        known: Option<&Known>,
        tickets: &HashMap<TicketId, KnownTicket>,
    ) -> Result<StoredSession, sqlx::Error> {
        let same_head = known.is_some_and(|known| same_head(&known.session, session));
        let changed_tickets: Vec<&NewTicketType> = session
            .ticket_types
            .iter()
            .filter(|new| tickets.get(&new.ticket_id).is_none_or(|known| known.ticket != **new))
            .collect();
        let own = tickets.values().filter(|ticket| ticket.session_id == session.session_id);
        let mut epoch = own.map(|ticket| ticket.epoch).max().unwrap_or(0);
        let version = known.map_or(0, |known| known.version);
        if same_head && changed_tickets.is_empty() {
            let session_id = session.session_id;
            return Ok(StoredSession { session_id, version, epoch, changed: false });
        }
        let version = write_session(connection, show_id, session).await?;
        for ticket in &changed_tickets {
            write_ticket(connection, session.session_id, ticket, epoch).await?;
        }
        let refills = |new: &&NewTicketType| {
            tickets.get(&new.ticket_id).is_none_or(|known| known.ticket.total != new.total)
        };
        if epoch > 0 && changed_tickets.iter().any(refills) {
            epoch += 1;
            sqlx::query("UPDATE stock.ticket_types SET epoch = $2 WHERE session_id = $1")
                .bind(session.session_id.get())
                .bind(epoch)
                .execute(connection)
                .await?;
        }
        Ok(StoredSession { session_id: session.session_id, version, epoch, changed: true })
    }
}

fn same_head(known: &NewSession, new: &NewSession) -> bool {
    let head = |session: &NewSession| {
        let mut head = session.clone();
        head.ticket_types.clear();
        head
    };
    head(known) == head(new)
}

fn check(
    show: &NewShow,
    sessions: &HashMap<SessionId, Known>,
    tickets: &HashMap<TicketId, KnownTicket>,
) -> Result<(), PutError> {
    for session in &show.sessions {
        let session_id = session.session_id;
        if let Some(known) = sessions.get(&session_id) {
            if known.show_id != show.show_id.get() {
                let show_id = ShowId(known.show_id);
                return Err(PutError::SessionOfOtherShow { session_id, show_id });
            }
            let currency = known.session.currency;
            let is_taken =
                |ticket: &KnownTicket| ticket.session_id == session_id && ticket.taken > 0;
            if currency != session.currency && tickets.values().any(is_taken) {
                return Err(PutError::CurrencyInUse { session_id, currency });
            }
        }
        for ticket in &session.ticket_types {
            let ticket_id = ticket.ticket_id;
            match tickets.get(&ticket_id) {
                Some(known) if known.session_id != session_id => {
                    let session_id = known.session_id;
                    return Err(PutError::TicketOfOtherSession { ticket_id, session_id });
                }
                Some(known) if ticket.total < known.taken => {
                    return Err(PutError::TotalTooLow { ticket_id, taken: known.taken });
                }
                Some(_) | None => {}
            }
        }
    }
    Ok(())
}

async fn lock_sessions(
    connection: &mut PgConnection,
    show: &NewShow,
) -> Result<HashMap<SessionId, Known>, sqlx::Error> {
    let ids: Vec<i64> = show.sessions.iter().map(|session| session.session_id.get()).collect();
    let rows = sqlx::query(
        "SELECT session_id, show_id, name, version, sale_starts_at, sale_ends_at, currency, \
           hold_seconds, per_user_limit \
         FROM stock.sessions WHERE session_id = ANY($1::int8[]) ORDER BY session_id FOR UPDATE",
    )
    .bind(ids)
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            let session_id = SessionId(row.try_get("session_id")?);
            let session = NewSession {
                session_id,
                name: row.try_get("name")?,
                sale_starts_at: row.try_get("sale_starts_at")?,
                sale_ends_at: row.try_get("sale_ends_at")?,
                currency: row.try_get::<&str, _>("currency")?.parse().map_err(unreadable)?,
                hold_seconds: row.try_get("hold_seconds")?,
                per_user_limit: row.try_get("per_user_limit")?,
                ticket_types: Vec::new(),
            };
            let (show_id, version) = (row.try_get("show_id")?, row.try_get("version")?);
            Ok((session_id, Known { show_id, version, session }))
        })
        .collect()
}

/// All ticket types of the sessions, and those that are named.
async fn lock_tickets(
    connection: &mut PgConnection,
    show: &NewShow,
) -> Result<HashMap<TicketId, KnownTicket>, sqlx::Error> {
    let sessions: Vec<i64> = show.sessions.iter().map(|session| session.session_id.get()).collect();
    let named = show.sessions.iter().flat_map(|session| &session.ticket_types);
    let tickets: Vec<i64> = named.map(|ticket| ticket.ticket_id.get()).collect();
    let rows = sqlx::query(
        "SELECT ticket_id, session_id, name, unit_price, per_order_limit, total, \
           reserved + sold AS taken, epoch \
         FROM stock.ticket_types \
         WHERE session_id = ANY($1::int8[]) OR ticket_id = ANY($2::int8[]) \
         ORDER BY ticket_id FOR UPDATE",
    )
    .bind(sessions)
    .bind(tickets)
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            let ticket_id = TicketId(row.try_get("ticket_id")?);
            let ticket = NewTicketType {
                ticket_id,
                name: row.try_get("name")?,
                unit_price: Amount::new(row.try_get::<Decimal, _>("unit_price")?)
                    .map_err(unreadable)?,
                per_order_limit: row.try_get("per_order_limit")?,
                total: row.try_get("total")?,
            };
            let known = KnownTicket {
                session_id: SessionId(row.try_get("session_id")?),
                ticket,
                taken: row.try_get("taken")?,
                epoch: row.try_get("epoch")?,
            };
            Ok((ticket_id, known))
        })
        .collect()
}

async fn write_session(
    connection: &mut PgConnection,
    show_id: ShowId,
    session: &NewSession,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "INSERT INTO stock.sessions AS s (session_id, show_id, name, version, sale_starts_at, \
           sale_ends_at, currency, hold_seconds, per_user_limit) \
         VALUES ($1, $2, $3, 1, $4, $5, $6, $7, $8) \
         ON CONFLICT (session_id) DO UPDATE SET name = excluded.name, version = s.version + 1, \
           sale_starts_at = excluded.sale_starts_at, sale_ends_at = excluded.sale_ends_at, \
           currency = excluded.currency, hold_seconds = excluded.hold_seconds, \
           per_user_limit = excluded.per_user_limit, updated_at = now() \
         RETURNING version",
    )
    .bind(session.session_id.get())
    .bind(show_id.get())
    .bind(&session.name)
    .bind(session.sale_starts_at)
    .bind(session.sale_ends_at)
    .bind(session.currency.as_str())
    .bind(session.hold_seconds)
    .bind(session.per_user_limit)
    .fetch_one(connection)
    .await
}

async fn write_ticket(
    connection: &mut PgConnection,
    session_id: SessionId,
    ticket: &NewTicketType,
    epoch: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO stock.ticket_types AS t (ticket_id, session_id, name, unit_price, \
           per_order_limit, total, epoch) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) \
         ON CONFLICT (ticket_id) DO UPDATE SET name = excluded.name, \
           unit_price = excluded.unit_price, per_order_limit = excluded.per_order_limit, \
           total = excluded.total",
    )
    .bind(ticket.ticket_id.get())
    .bind(session_id.get())
    .bind(&ticket.name)
    .bind(ticket.unit_price.decimal())
    .bind(ticket.per_order_limit)
    .bind(ticket.total)
    .bind(epoch)
    .execute(connection)
    .await?;
    Ok(())
}
