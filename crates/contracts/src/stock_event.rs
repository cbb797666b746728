//! What happens to stock, and the commands of other services.

use serde::Serialize;

use crate::body::deserialize_from_fields;
use crate::line::Flat;
use crate::read::Fields;
use crate::wire_enum::wire_enum;
use crate::{
    Body, Currency, Extra, Item, Line, LocalTime, OrderNo, Quantity, ReadError, RejectReason,
    SessionId, Subject, Tag, TicketId, UserId,
};

wire_enum! {
    /// What shall happen (a Java service's command), or what happened (our fact, past tense).
    StockOperation,
    "DEDUCT, ROLLBACK, SYNC, CONFIRM, DEDUCTED, REJECTED, CONFIRMED or ROLLED_BACK" {
        /// Hold tickets.
        Deduct = "DEDUCT",
        /// Release what is held.
        Rollback = "ROLLBACK",
        /// Compare Redis with PostgreSQL.
        Sync = "SYNC",
        /// Sell what is held.
        Confirm = "CONFIRM",
        /// Tickets are held.
        Deducted = "DEDUCTED",
        /// Tickets were refused.
        Rejected = "REJECTED",
        /// Tickets are sold.
        Confirmed = "CONFIRMED",
        /// Tickets are free again.
        RolledBack = "ROLLED_BACK",
    }
}

impl StockOperation {
    /// Whether it is a command.
    pub const fn is_command(self) -> bool {
        matches!(self, Self::Deduct | Self::Rollback | Self::Sync | Self::Confirm)
    }

    /// The tag under which it travels; Java services send `CONFIRM` under `STOCK_SYNC`.
    pub const fn tag(self) -> Tag {
        match self {
            Self::Deduct => Tag::StockDeduct,
            Self::Rollback => Tag::StockRollback,
            Self::Sync | Self::Confirm => Tag::StockSync,
            Self::Deducted => Tag::StockDeducted,
            Self::Rejected => Tag::StockRejected,
            Self::Confirmed => Tag::StockConfirmed,
            Self::RolledBack => Tag::StockRolledBack,
        }
    }
}

wire_enum! {
    /// The step at which stock was refused.
    StockStep, "reserve or confirm" {
        /// While holding tickets for a new order.
        Reserve = "reserve",
        /// While selling what should have been held.
        Confirm = "confirm",
    }
}

/// A message on `STOCK_TOPIC`: a command or a fact.
///
/// Java services define the fields up to `ext_data`; the rest is ours. In a command the operation
/// decides, not the tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StockEventMessage {
    /// Repeats the only line; absent when there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ticket_id: Option<TicketId>,
    /// Repeats the only line; absent when there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantity: Option<Quantity>,
    pub operation: StockOperation,
    /// Absent only in `SYNC`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_no: Option<OrderNo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_time: Option<LocalTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ext_data: Option<Extra>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// Without a user no limit applies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<Vec<Item>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    /// A [`RejectReason`], or one that came later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// In `REJECTED`: at which step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on: Option<StockStep>,
    /// Which hold of the order: 1, or 2 after it was acquired again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<i32>,
    /// Fields that we don't know.
    #[serde(flatten)]
    pub extra: Extra,
}

impl StockEventMessage {
    /// A message that says only the operation.
    pub fn new(operation: StockOperation) -> Self {
        Self {
            ticket_id: None,
            quantity: None,
            operation,
            order_no: None,
            event_time: None,
            ext_data: None,
            session_id: None,
            user_id: None,
            items: None,
            currency: None,
            reason: None,
            on: None,
            hold: None,
            extra: Extra::new(),
        }
    }

    /// The lines: 1 to 8, from `items` or from the flat fields.
    ///
    /// # Errors
    /// Names the field that is missing, or that contradicts the other form.
    pub fn lines(&self) -> Result<Vec<Line>, ReadError> {
        self.flat().lines(self.items.as_deref())
    }

    /// Sets the lines in both forms: the flat fields repeat a single line.
    pub fn set_lines(&mut self, lines: &[Line]) {
        let Flat { ticket_id, quantity } = Flat::of(lines);
        self.ticket_id = ticket_id;
        self.quantity = quantity;
        self.items = Some(lines.iter().copied().map(Item::from).collect());
    }

    /// Why it was refused, if we know the reason.
    pub fn reject_reason(&self) -> Option<RejectReason> {
        self.reason.as_deref()?.parse().ok()
    }

    fn flat(&self) -> Flat {
        Flat { ticket_id: self.ticket_id, quantity: self.quantity }
    }

    fn check_operation(&self, tag: Tag) -> Result<(), ReadError> {
        let command_tag = matches!(tag, Tag::StockDeduct | Tag::StockRollback | Tag::StockSync);
        let belongs = match self.operation.is_command() {
            true => command_tag,
            false => self.operation.tag() == tag,
        };
        if belongs {
            return Ok(());
        }
        let problem = format!("{} does not belong to tag {tag}", self.operation);
        Err(ReadError::new("operation", problem))
    }

    /// A command finds its session by a ticket type where it names none.
    fn check_session(&self) -> Result<(), ReadError> {
        let known = self.session_id.is_some() || self.ticket_id.is_some() || self.items.is_some();
        if known { Ok(()) } else { Err(ReadError::required("ticketId")) }
    }
}

impl Body for StockEventMessage {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, ReadError> {
        Ok(Self {
            ticket_id: fields.optional("ticketId")?,
            quantity: fields.optional("quantity")?,
            operation: fields.required("operation")?,
            order_no: fields.optional("orderNo")?,
            event_time: fields.optional("eventTime")?,
            ext_data: fields.optional("extData")?,
            session_id: fields.optional("sessionId")?,
            user_id: fields.optional("userId")?,
            items: fields.optional("items")?,
            currency: fields.optional("currency")?,
            reason: fields.optional("reason")?,
            on: fields.optional("on")?,
            hold: fields.optional("hold")?,
            extra: fields.rest()?,
        })
    }

    fn subject(&self) -> Subject<'_> {
        Subject {
            order_no: self.order_no.as_ref().map_or("", OrderNo::as_str),
            event_type: self.operation.as_str(),
            event_time: self.event_time.map(LocalTime::utc),
        }
    }

    fn check(&self, tag: Tag) -> Result<(), ReadError> {
        self.check_operation(tag)?;
        if self.operation != StockOperation::Sync && self.order_no.is_none() {
            return Err(ReadError::required("orderNo"));
        }
        match self.operation {
            StockOperation::Deduct | StockOperation::Deducted => {
                self.lines()?;
            }
            StockOperation::Rollback | StockOperation::Confirm | StockOperation::Sync => {
                self.check_session()?;
            }
            StockOperation::Rejected if self.on.is_none() => {
                return Err(ReadError::required("on"));
            }
            StockOperation::Rejected | StockOperation::Confirmed | StockOperation::RolledBack => {}
        }
        if self.items.is_some() {
            self.lines()?;
        }
        Ok(())
    }
}

deserialize_from_fields!(StockEventMessage);
