use chrono::{DateTime, Utc};
use contracts::{
    Amount, Channel, Currency, OrderNo, Quantity, SessionId, ShowId, TicketId, UserId,
};

pub use contracts::OrderStatus as Status;

/// An order with everything that changes with its version.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Order {
    pub order_no: OrderNo,
    pub session_id: SessionId,
    pub show_id: ShowId,
    pub user_id: UserId,
    /// Who created it, and under which key: the same request creates it once.
    pub caller: String,
    pub idempotency_key: String,
    /// SHA-256 of the request, to tell a repeated request from another one under its key.
    pub request_hash: [u8; 32],
    pub lines: Vec<Line>,
    pub currency: Currency,
    pub total: Amount,
    pub status: Status,
    /// Of the row: each decision that changes something adds one.
    pub version: i64,
    /// Why it ended as it did (a reject or cancel reason).
    pub reason: Option<String>,
    /// Paid this way as soon as stock is held.
    pub payment_method: Option<String>,
    pub channels: Vec<Channel>,
    pub created_at: DateTime<Utc>,
    /// Shown to the buyer.
    pub expires_at: DateTime<Utc>,
    /// With grace and jitter; never changes, the sweep's index is on it.
    pub deadline_at: DateTime<Utc>,
    pub reserved_at: Option<DateTime<Utc>>,
    pub paid_at: Option<DateTime<Utc>>,
    pub confirmed_at: Option<DateTime<Utc>>,
    pub closed_at: Option<DateTime<Utc>>,
    pub payments: Vec<Payment>,
    pub refunds: Vec<Refund>,
}

/// One line, with the price that the sale had at creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Line {
    pub ticket_id: TicketId,
    pub quantity: Quantity,
    pub unit_price: Amount,
}

/// One attempt to pay.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Payment {
    /// `<order number>-p<n>`: our id, and the provider's idempotency key.
    pub payment_id: String,
    pub method: String,
    /// What was asked for: always the order's total.
    pub amount: Amount,
    pub status: PaymentStatus,
    pub provider_payment_id: Option<String>,
    /// What the provider took, when it did.
    pub captured: Option<Amount>,
    pub reason: Option<String>,
}

/// `FAILED` and `CLOSED` may still become `CAPTURED`: providers do that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i16)]
pub enum PaymentStatus {
    Created = 0,
    Pending = 1,
    Captured = 2,
    Failed = 3,
    Closed = 4,
}

impl PaymentStatus {
    /// Whether money may still come without a surprise.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Created | Self::Pending)
    }

    /// Its name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::Pending => "PENDING",
            Self::Captured => "CAPTURED",
            Self::Failed => "FAILED",
            Self::Closed => "CLOSED",
        }
    }
}

/// Money on its way back.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Refund {
    /// `<order number>-r<n>`: fixed before the call, and the provider's idempotency key.
    pub refund_id: String,
    pub payment_id: String,
    pub amount: Amount,
    pub status: RefundStatus,
    pub reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i16)]
pub enum RefundStatus {
    Requested = 0,
    Succeeded = 1,
    /// The provider refuses it for good; an operator must act.
    Manual = 2,
}

impl RefundStatus {
    /// Its name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "REQUESTED",
            Self::Succeeded => "SUCCEEDED",
            Self::Manual => "MANUAL",
        }
    }
}

impl Order {
    /// The payment with this id.
    pub fn payment(&self, payment_id: &str) -> Option<&Payment> {
        self.payments.iter().find(|payment| payment.payment_id == payment_id)
    }

    pub(super) fn payment_mut(&mut self, payment_id: &str) -> Option<&mut Payment> {
        self.payments.iter_mut().find(|payment| payment.payment_id == payment_id)
    }

    /// Whether some attempt may still bring money.
    pub fn has_open_payment(&self) -> bool {
        self.payments.iter().any(|payment| payment.status.is_open())
    }

    /// Whether it has come to its end, good or bad.
    pub fn is_ended(&self) -> bool {
        self.status == Status::Confirmed || self.is_closed()
    }

    /// Whether nothing more is expected to happen.
    pub fn is_closed(&self) -> bool {
        matches!(
            self.status,
            Status::Rejected | Status::Cancelled | Status::Expired | Status::Refunded
        )
    }
}
