//! Default names of topics, tags and consumer groups.
//!
//! They are what existing Java services use; a deployment may configure others.

use std::fmt;
use std::str::FromStr;

/// Order commands and order facts.
pub const ORDER_TOPIC: &str = "ORDER_TOPIC";
/// Stock commands, stock facts and `SALE_CHANGED`.
pub const STOCK_TOPIC: &str = "STOCK_TOPIC";
/// Notifications to be delivered.
pub const NOTIFICATION_TOPIC: &str = "NOTIFICATION_TOPIC";

/// order-worker's group for `ORDER_CREATE`.
pub const ORDER_INTAKE_GROUP: &str = "order-intake";
/// order-worker's group for stock facts.
pub const ORDER_STOCK_GROUP: &str = "order-stock";
/// order-worker's group for `SALE_CHANGED`.
pub const ORDER_SALE_GROUP: &str = "order-sale";
/// stock-worker's group for order facts.
pub const STOCK_ORDER_GROUP: &str = "stock-order";
/// stock-worker's group for stock commands.
pub const STOCK_COMMAND_GROUP: &str = "stock-command";
/// notify-worker's group for text messages.
pub const NOTIFY_SMS_GROUP: &str = "notify-sms";
/// notify-worker's group for e-mail.
pub const NOTIFY_EMAIL_GROUP: &str = "notify-email";
/// notify-worker's group for push messages.
pub const NOTIFY_PUSH_GROUP: &str = "notify-push";

/// What a message is, as the broker filters it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tag {
    OrderCreate,
    OrderCreated,
    OrderPaid,
    OrderCancelled,
    OrderReserved,
    OrderConfirmed,
    OrderRefunded,
    StockDeducted,
    StockRejected,
    StockConfirmed,
    StockRolledBack,
    StockDeduct,
    StockRollback,
    StockSync,
    SaleChanged,
    Sms,
    Email,
    Push,
}

impl Tag {
    /// Every tag, in the order of the contract.
    pub const ALL: [Self; 18] = [
        Self::OrderCreate,
        Self::OrderCreated,
        Self::OrderPaid,
        Self::OrderCancelled,
        Self::OrderReserved,
        Self::OrderConfirmed,
        Self::OrderRefunded,
        Self::StockDeducted,
        Self::StockRejected,
        Self::StockConfirmed,
        Self::StockRolledBack,
        Self::StockDeduct,
        Self::StockRollback,
        Self::StockSync,
        Self::SaleChanged,
        Self::Sms,
        Self::Email,
        Self::Push,
    ];

    /// The tag's name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OrderCreate => "ORDER_CREATE",
            Self::OrderCreated => "ORDER_CREATED",
            Self::OrderPaid => "ORDER_PAID",
            Self::OrderCancelled => "ORDER_CANCELLED",
            Self::OrderReserved => "ORDER_RESERVED",
            Self::OrderConfirmed => "ORDER_CONFIRMED",
            Self::OrderRefunded => "ORDER_REFUNDED",
            Self::StockDeducted => "STOCK_DEDUCTED",
            Self::StockRejected => "STOCK_REJECTED",
            Self::StockConfirmed => "STOCK_CONFIRMED",
            Self::StockRolledBack => "STOCK_ROLLED_BACK",
            Self::StockDeduct => "STOCK_DEDUCT",
            Self::StockRollback => "STOCK_ROLLBACK",
            Self::StockSync => "STOCK_SYNC",
            Self::SaleChanged => "SALE_CHANGED",
            Self::Sms => "SMS",
            Self::Email => "EMAIL",
            Self::Push => "PUSH",
        }
    }

    /// The default topic that carries this tag.
    pub const fn topic(self) -> &'static str {
        match self {
            Self::OrderCreate
            | Self::OrderCreated
            | Self::OrderPaid
            | Self::OrderCancelled
            | Self::OrderReserved
            | Self::OrderConfirmed
            | Self::OrderRefunded => ORDER_TOPIC,
            Self::StockDeducted
            | Self::StockRejected
            | Self::StockConfirmed
            | Self::StockRolledBack
            | Self::StockDeduct
            | Self::StockRollback
            | Self::StockSync
            | Self::SaleChanged => STOCK_TOPIC,
            Self::Sms | Self::Email | Self::Push => NOTIFICATION_TOPIC,
        }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Tag {
    type Err = UnknownTag;

    fn from_str(text: &str) -> Result<Self, UnknownTag> {
        let found = Self::ALL.into_iter().find(|tag| tag.as_str() == text);
        found.ok_or_else(|| UnknownTag(text.to_owned()))
    }
}

/// A tag that no contract knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown tag {0:?}")]
pub struct UnknownTag(pub String);
