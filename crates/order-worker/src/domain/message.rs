use contracts::{Amount, Channel, Currency, OrderNo, Quantity, SessionId, TicketId, UserId};

/// Everything that can happen to an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    Create(NewOrder),
    /// The buyer cancels.
    Cancel,
    /// The buyer pays, or pays again in another way.
    Pay {
        method: String,
    },
    StockDeducted,
    StockRejected {
        on: Step,
        reason: String,
    },
    StockConfirmed,
    StockRolledBack,
    /// The sweep found the deadline behind the database's clock.
    DeadlinePassed,
    /// The provider knows the payment and waits for the buyer.
    PaymentOpened {
        payment_id: String,
        provider_payment_id: String,
    },
    PaymentCaptured(Captured),
    PaymentFailed {
        payment_id: String,
        reason: String,
    },
    /// The provider will take no money under this payment any more.
    PaymentClosed {
        payment_id: String,
    },
    /// The provider could not be reached after the last attempt to open.
    OpenGaveUp {
        payment_id: String,
        reason: String,
    },
    /// The provider could not be reached after the last attempt to close.
    CloseGaveUp {
        payment_id: String,
        reason: String,
    },
    RefundEnded {
        refund_id: String,
        outcome: RefundOutcome,
    },
    /// A provider's signed callback; recorded once with its effect.
    Callback(ProviderEvent),
}

/// An order to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOrder {
    /// The number it will have, if it is not there already.
    pub order_no: OrderNo,
    pub session_id: SessionId,
    pub user_id: UserId,
    pub caller: String,
    pub idempotency_key: String,
    pub request_hash: [u8; 32],
    pub lines: Vec<NewLine>,
    /// What the caller believes the currency and the total to be.
    pub currency: Option<Currency>,
    pub total: Option<Amount>,
    pub payment_method: Option<String>,
    /// Empty: the policy's default.
    pub channels: Vec<Channel>,
    pub origin: Origin,
}

/// A line of a new order, with the price that the caller believes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewLine {
    pub ticket_id: TicketId,
    pub quantity: Quantity,
    pub unit_price: Option<Amount>,
}

/// Where a creation comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// HTTP: a refusal is answered, nothing is written.
    Request,
    /// `ORDER_CREATE`: a refusal becomes a REJECTED order, so that the sender hears of it.
    Message,
}

/// At which step stock was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Reserve,
    Confirm,
}

/// The provider took money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    pub payment_id: String,
    pub provider_payment_id: String,
    pub amount: Amount,
    pub currency: Currency,
}

/// How a refund ended at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundOutcome {
    Succeeded,
    Refused(String),
}

/// A callback whose signature, merchant and shape were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderEvent {
    pub provider: String,
    /// The provider's own id of the event.
    pub event_id: String,
    /// What it means; one of the payment or refund messages above.
    pub effect: Box<Message>,
    /// As it arrived, kept for ever.
    pub body: Vec<u8>,
}

impl Message {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Cancel => "cancel",
            Self::Pay { .. } => "pay",
            Self::StockDeducted => "stock deducted",
            Self::StockRejected { .. } => "stock rejected",
            Self::StockConfirmed => "stock confirmed",
            Self::StockRolledBack => "stock rolled back",
            Self::DeadlinePassed => "deadline passed",
            Self::PaymentOpened { .. } => "payment opened",
            Self::PaymentCaptured(_) => "payment captured",
            Self::PaymentFailed { .. } => "payment failed",
            Self::PaymentClosed { .. } => "payment closed",
            Self::OpenGaveUp { .. } => "opening a payment gave up",
            Self::CloseGaveUp { .. } => "closing a payment gave up",
            Self::RefundEnded { .. } => "refund ended",
            Self::Callback(_) => "callback",
        }
    }
}
