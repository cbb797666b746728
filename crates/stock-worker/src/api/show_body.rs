//! A show as a caller sends it, checked field by field.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use common::problem::Problem;
use contracts::{Amount, Currency, Quantity, SessionId, ShowId, TicketId};
use serde::Deserialize;

use crate::store::{NewSession, NewShow, NewTicketType};

/// Characters of a name at most.
const NAME_MAX_CHARS: usize = 200;
const SESSIONS_MAX: usize = 500;
const TICKET_TYPES_MAX: usize = 200;
/// Tickets of one type at most.
const TOTAL_MAX_TICKETS: i64 = 10_000_000;
/// A week.
const HOLD_MAX_SECONDS: i32 = 7 * 24 * 3600;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ShowBody {
    name: String,
    sessions: Vec<SessionBody>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SessionBody {
    session_id: i64,
    name: String,
    sale_starts_at: Option<DateTime<Utc>>,
    sale_ends_at: Option<DateTime<Utc>>,
    currency: Currency,
    hold_seconds: Option<i32>,
    per_user_limit: Option<i32>,
    ticket_types: Vec<TicketTypeBody>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TicketTypeBody {
    ticket_id: i64,
    name: String,
    unit_price: Amount,
    per_order_limit: Option<i32>,
    total: i64,
}

impl ShowBody {
    /// Checks what no type says.
    ///
    /// # Errors
    /// Names the field and its limit.
    pub(super) fn into_show(self, show_id: ShowId) -> Result<NewShow, Problem> {
        check_name("name", &self.name)?;
        within("sessions", self.sessions.len(), 1, SESSIONS_MAX)?;
        let (mut sessions, mut tickets) = (HashSet::new(), HashSet::new());
        let sessions = self.sessions.into_iter().enumerate().map(|(index, session)| {
            let at = format!("sessions[{index}]");
            if !sessions.insert(session.session_id) {
                return Err(twice(format!("{at}.sessionId"), session.session_id));
            }
            session.into_session(&at, &mut tickets)
        });
        Ok(NewShow { show_id, name: self.name, sessions: sessions.collect::<Result<_, _>>()? })
    }
}

impl SessionBody {
    fn into_session(self, at: &str, tickets: &mut HashSet<i64>) -> Result<NewSession, Problem> {
        within(format!("{at}.sessionId"), self.session_id, 1, i64::MAX)?;
        check_name(&format!("{at}.name"), &self.name)?;
        if let (Some(start), Some(end)) = (self.sale_starts_at, self.sale_ends_at)
            && end <= start
        {
            return Err(Problem::invalid_field(format!("{at}.saleEndsAt"))
                .detail("the sale must end after it starts")
                .limit(start.to_rfc3339()));
        }
        if let Some(seconds) = self.hold_seconds {
            within(format!("{at}.holdSeconds"), seconds, 1, HOLD_MAX_SECONDS)?;
        }
        if let Some(limit) = self.per_user_limit {
            within(format!("{at}.perUserLimit"), limit, 1, i32::MAX)?;
        }
        within(format!("{at}.ticketTypes"), self.ticket_types.len(), 1, TICKET_TYPES_MAX)?;
        let ticket_types = self.ticket_types.into_iter().enumerate().map(|(index, ticket)| {
            let at = format!("{at}.ticketTypes[{index}]");
            if !tickets.insert(ticket.ticket_id) {
                return Err(twice(format!("{at}.ticketId"), ticket.ticket_id));
            }
            ticket.into_ticket_type(&at)
        });
        Ok(NewSession {
            session_id: SessionId(self.session_id),
            name: self.name,
            sale_starts_at: self.sale_starts_at.map(to_microseconds),
            sale_ends_at: self.sale_ends_at.map(to_microseconds),
            currency: self.currency,
            hold_seconds: self.hold_seconds,
            per_user_limit: self.per_user_limit,
            ticket_types: ticket_types.collect::<Result<_, _>>()?,
        })
    }
}

impl TicketTypeBody {
    fn into_ticket_type(self, at: &str) -> Result<NewTicketType, Problem> {
        within(format!("{at}.ticketId"), self.ticket_id, 1, i64::MAX)?;
        check_name(&format!("{at}.name"), &self.name)?;
        if let Some(limit) = self.per_order_limit {
            within(format!("{at}.perOrderLimit"), limit, 1, Quantity::MAX.get())?;
        }
        within(format!("{at}.total"), self.total, 0, TOTAL_MAX_TICKETS)?;
        Ok(NewTicketType {
            ticket_id: TicketId(self.ticket_id),
            name: self.name,
            unit_price: self.unit_price,
            per_order_limit: self.per_order_limit,
            total: self.total,
        })
    }
}

/// As PostgreSQL keeps it, so that the same show again is no change.
fn to_microseconds(time: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(time.timestamp_micros()).unwrap_or(time)
}

fn check_name(field: &str, name: &str) -> Result<(), Problem> {
    let chars = name.chars().count();
    if (1..=NAME_MAX_CHARS).contains(&chars) && !name.contains('\0') {
        return Ok(());
    }
    Err(Problem::invalid_field(field)
        .detail(format_args!("expected 1 to {NAME_MAX_CHARS} characters, found {chars}"))
        .limit(NAME_MAX_CHARS))
}

fn within<T>(field: impl Into<Box<str>>, value: T, min: T, max: T) -> Result<(), Problem>
where
    T: PartialOrd + std::fmt::Display + Into<serde_json::Number> + Copy,
{
    let limit = if value < min {
        min
    } else if value > max {
        max
    } else {
        return Ok(());
    };
    Err(Problem::invalid_field(field)
        .detail(format_args!("must be from {min} to {max}, not {value}"))
        .limit(serde_json::Value::Number(limit.into())))
}

fn twice(field: String, id: i64) -> Problem {
    Problem::invalid_field(field).detail(format_args!("{id} is named twice"))
}
