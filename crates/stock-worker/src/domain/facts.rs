use std::collections::HashMap;

use chrono::{DateTime, Utc};
use contracts::{Amount, Currency, SaleState, SessionId, TicketId};

/// What a batch is decided on beside the holds, all of one snapshot.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The database's time.
    pub now: DateTime<Utc>,
    pub sessions: HashMap<SessionId, Session>,
    pub tickets: HashMap<TicketId, TicketType>,
}

/// A session's sale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub state: SaleState,
    pub sale_starts_at: Option<DateTime<Utc>>,
    pub sale_ends_at: Option<DateTime<Utc>>,
    pub currency: Currency,
    /// Tickets that one user may hold and have bought.
    pub per_user_limit: Option<u32>,
    /// Which filling of Redis is the right one.
    pub epoch: i64,
}

/// A ticket type's price and limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketType {
    pub session_id: SessionId,
    pub unit_price: Amount,
    pub per_order_limit: Option<u32>,
}

impl Session {
    /// Whether tickets can be held at this moment.
    pub fn is_open_at(&self, now: DateTime<Utc>) -> bool {
        self.state == SaleState::Open
            && self.sale_starts_at.is_none_or(|start| start <= now)
            && self.sale_ends_at.is_none_or(|end| now < end)
    }
}

impl Facts {
    /// The session that is named, or else the one of the first known ticket type.
    pub(super) fn session_of(
        &self,
        named: Option<SessionId>,
        tickets: impl IntoIterator<Item = TicketId>,
    ) -> Option<SessionId> {
        named.or_else(|| {
            tickets.into_iter().find_map(|ticket| Some(self.tickets.get(&ticket)?.session_id))
        })
    }
}
