use chrono::{DateTime, Utc};
use contracts::{Amount, CancelReason, Currency, OrderNo};

use super::create::Refusal;
use super::order::Status;

/// What an order says to the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Created,
    Reserved,
    Paid,
    Confirmed,
    Cancelled {
        reason: CancelReason,
    },
    Refunded,
    /// Tell the buyer, on each of the order's channels.
    Notify {
        notice: Notice,
        channel: contracts::Channel,
    },
}

/// What the buyer is told: one for each transition that a buyer sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Notice {
    Confirmed,
    Rejected,
    Cancelled,
    Expired,
    Refunded { round: u32 },
}

impl Notice {
    /// The template's name.
    pub fn template(self) -> &'static str {
        match self {
            Self::Confirmed => "order.confirmed",
            Self::Rejected => "order.rejected",
            Self::Cancelled => "order.cancelled",
            Self::Expired => "order.expired",
            Self::Refunded { .. } => "order.refunded",
        }
    }

    /// Its part of the notification's id; a second refund is another notification.
    pub fn id_part(self) -> String {
        match self {
            Self::Confirmed => "confirmed".to_owned(),
            Self::Rejected => "rejected".to_owned(),
            Self::Cancelled => "cancelled".to_owned(),
            Self::Expired => "expired".to_owned(),
            Self::Refunded { round } => format!("refunded{round}"),
        }
    }
}

/// Rows that are written with the order, beside its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Call the provider after the commit.
    Start(Call),
    /// The call has its answer: this transaction ends it.
    End { call_id: String },
    /// A provider's event took effect.
    Receipt { provider: String, event_id: String, kind: &'static str, body: Vec<u8> },
}

/// A call to the payment provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub call_id: String,
    pub kind: CallKind,
    pub order_no: OrderNo,
    pub session_id: i64,
    pub payment_id: String,
    /// Only for refunds.
    pub refund_id: Option<String>,
    pub method: String,
    pub amount: Amount,
    pub currency: Currency,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i16)]
pub enum CallKind {
    Open = 0,
    Close = 1,
    Refund = 2,
}

impl Call {
    /// The one call of this kind for a payment or refund.
    pub fn id_of(kind: CallKind, subject: &str) -> String {
        let kind = match kind {
            CallKind::Open => "open",
            CallKind::Close => "close",
            CallKind::Refund => "refund",
        };
        format!("{subject}:{kind}")
    }
}

/// What the caller is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Nobody waits.
    None,
    /// Created now, or by the same request before.
    Accepted { order_no: OrderNo, status: Status, expires_at: DateTime<Utc>, replayed: bool },
    /// Refused by the sale's rules; nothing was written for an HTTP request.
    Refused(Refusal),
    /// The idempotency key was used for another request.
    KeyReused { order_no: OrderNo },
    /// Done, or done before.
    Done { status: Status, payment_id: Option<String> },
    /// The order's status does not allow it.
    NotNow { status: Status, detail: &'static str },
    /// No such order.
    UnknownOrder,
    /// No such payment on this order.
    UnknownPayment,
}
