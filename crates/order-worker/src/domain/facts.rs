use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use contracts::{Amount, Channel, Currency, SessionId, ShowId, TicketId};

/// What a batch is decided on, beside the orders.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The database's clock.
    pub now: DateTime<Utc>,
    pub policy: Arc<Policy>,
    /// The sales of the sessions in which this batch creates orders, as the rows say.
    pub sales: HashMap<SessionId, Arc<Sale>>,
}

/// What the operator configured.
#[derive(Debug, Clone)]
pub struct Policy {
    pub hold: TimeDelta,
    /// Beyond the hold, not shown to the buyer.
    pub grace: TimeDelta,
    /// Deadlines are spread over this much, by the order's number.
    pub jitter: TimeDelta,
    pub default_channels: Vec<Channel>,
    /// Attempts to pay that one order may make.
    pub payment_attempts_max: usize,
    pub publish_reserved: bool,
    pub publish_confirmed: bool,
    pub publish_refunded: bool,
}

/// A session's sale, as order-worker knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sale {
    pub session_id: SessionId,
    pub show_id: ShowId,
    pub version: i64,
    pub open: bool,
    pub starts_at: Option<DateTime<Utc>>,
    pub ends_at: Option<DateTime<Utc>>,
    pub currency: Currency,
    pub hold: Option<TimeDelta>,
    pub per_user_limit: Option<i32>,
    pub tickets: HashMap<TicketId, SaleTicket>,
}

/// One ticket type of a [`Sale`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaleTicket {
    pub unit_price: Amount,
    pub per_order_limit: Option<i32>,
    pub sold_out: bool,
}

impl Sale {
    /// Whether tickets can be bought at this moment.
    pub fn is_open_at(&self, now: DateTime<Utc>) -> bool {
        self.open
            && self.starts_at.is_none_or(|start| start <= now)
            && self.ends_at.is_none_or(|end| now < end)
    }
}
