//! What happens to an order, and the command to create one.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::body::deserialize_from_fields;
use crate::line::Flat;
use crate::read::Fields;
use crate::wire_enum::wire_enum;
use crate::{
    Amount, Body, CancelReason, Channel, Currency, Extra, Item, Line, LocalTime, OrderNo,
    OrderStatus, Quantity, ReadError, SessionId, ShowId, Subject, Tag, TicketId, UserId,
};

/// The longest idempotency key, in characters.
const IDEMPOTENCY_KEY_MAX_CHARS: usize = 255;
/// The longest name of a payment method, in characters.
const PAYMENT_METHOD_MAX_CHARS: usize = 64;

wire_enum! {
    /// What happened, or what shall happen (`CREATE`).
    OrderEventType,
    "CREATE, CREATED, RESERVED, PAID, CONFIRMED, CANCELLED or REFUNDED" {
        /// The command.
        Create = "CREATE",
        Created = "CREATED",
        Reserved = "RESERVED",
        Paid = "PAID",
        Confirmed = "CONFIRMED",
        Cancelled = "CANCELLED",
        Refunded = "REFUNDED",
    }
}

impl OrderEventType {
    /// The tag under which it travels.
    pub const fn tag(self) -> Tag {
        match self {
            Self::Create => Tag::OrderCreate,
            Self::Created => Tag::OrderCreated,
            Self::Reserved => Tag::OrderReserved,
            Self::Paid => Tag::OrderPaid,
            Self::Confirmed => Tag::OrderConfirmed,
            Self::Cancelled => Tag::OrderCancelled,
            Self::Refunded => Tag::OrderRefunded,
        }
    }
}

/// A message on `ORDER_TOPIC`.
///
/// Java services define the fields up to `ext_data`; the rest is ours.
/// [`Body::read`] has checked what its tag requires; use [`lines`](Self::lines) for what is
/// ordered, wherever the sender put it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderEventMessage {
    pub order_no: OrderNo,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub show_id: Option<ShowId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// Repeats the only line; absent when there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ticket_id: Option<TicketId>,
    /// Repeats the only line; absent when there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantity: Option<Quantity>,
    /// Null in a Java service's `CREATED`: the price is not known yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_amount: Option<Amount>,
    /// The number of an [`OrderStatus`], or one that only the sender knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_time: Option<LocalTime>,
    /// Absent only in a command whose tag says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type: Option<OrderEventType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ext_data: Option<Extra>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<Vec<Item>>,
    /// A [`CancelReason`], or one that came later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Until when stock is held for the buyer (without the grace).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    /// How the buyer wants to hear of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<Vec<Channel>>,
    /// In a command: the caller's key, under which the same order is created once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// In a command: pay in this way as soon as stock is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payment_method: Option<String>,
    /// Fields that we don't know.
    #[serde(flatten)]
    pub extra: Extra,
}

impl OrderEventMessage {
    /// A message that says only what happened to which order.
    pub fn new(event_type: OrderEventType, order_no: OrderNo) -> Self {
        Self {
            order_no,
            user_id: None,
            show_id: None,
            session_id: None,
            ticket_id: None,
            quantity: None,
            total_amount: None,
            status: None,
            event_time: None,
            event_type: Some(event_type),
            ext_data: None,
            currency: None,
            items: None,
            reason: None,
            expires_at: None,
            channels: None,
            idempotency_key: None,
            payment_method: None,
            extra: Extra::new(),
        }
    }

    /// What is ordered: 1 to 8 lines, from `items` or from the flat fields.
    ///
    /// # Errors
    /// Names the field that is missing, or that contradicts the other form.
    pub fn lines(&self) -> Result<Vec<Line>, ReadError> {
        self.flat().lines(self.items.as_deref())
    }

    /// Sets what is ordered, in both forms: the flat fields repeat a single line.
    pub fn set_lines(&mut self, lines: &[Line]) {
        let Flat { ticket_id, quantity } = Flat::of(lines);
        self.ticket_id = ticket_id;
        self.quantity = quantity;
        self.items = Some(lines.iter().copied().map(Item::from).collect());
    }

    /// Why it was cancelled, if we know the reason.
    pub fn cancel_reason(&self) -> Option<CancelReason> {
        self.reason.as_deref()?.parse().ok()
    }

    /// Its status, if we know the number.
    pub fn order_status(&self) -> Option<OrderStatus> {
        OrderStatus::from_code(self.status?)
    }

    fn flat(&self) -> Flat {
        Flat { ticket_id: self.ticket_id, quantity: self.quantity }
    }

    fn check_event_type(&self, tag: Tag) -> Result<(), ReadError> {
        match self.event_type {
            Some(found) if found.tag() == tag => Ok(()),
            Some(found) => {
                Err(ReadError::new("eventType", format!("{found} does not belong to tag {tag}")))
            }
            None if tag == Tag::OrderCreate => Ok(()),
            None => Err(ReadError::required("eventType")),
        }
    }
}

impl Body for OrderEventMessage {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, ReadError> {
        Ok(Self {
            order_no: fields.required("orderNo")?,
            user_id: fields.optional("userId")?,
            show_id: fields.optional("showId")?,
            session_id: fields.optional("sessionId")?,
            ticket_id: fields.optional("ticketId")?,
            quantity: fields.optional("quantity")?,
            total_amount: fields.optional("totalAmount")?,
            status: fields.optional("status")?,
            event_time: fields.optional("eventTime")?,
            event_type: fields.optional("eventType")?,
            ext_data: fields.optional("extData")?,
            currency: fields.optional("currency")?,
            items: fields.optional("items")?,
            reason: fields.optional("reason")?,
            expires_at: fields.optional("expiresAt")?,
            channels: fields.optional("channels")?,
            idempotency_key: fields.text("idempotencyKey", IDEMPOTENCY_KEY_MAX_CHARS)?,
            payment_method: fields.text("paymentMethod", PAYMENT_METHOD_MAX_CHARS)?,
            extra: fields.rest()?,
        })
    }

    fn subject(&self) -> Subject<'_> {
        Subject {
            order_no: self.order_no.as_str(),
            event_type: self.event_type.unwrap_or(OrderEventType::Create).as_str(),
            event_time: self.event_time.map(LocalTime::utc),
        }
    }

    /// Creating needs the buyer, the session and the lines; later facts need a way to the session.
    fn check(&self, tag: Tag) -> Result<(), ReadError> {
        self.check_event_type(tag)?;
        let has_lines = self.items.is_some() || self.ticket_id.is_some();
        let creates = matches!(tag, Tag::OrderCreate | Tag::OrderCreated);
        if creates && self.user_id.is_none() {
            return Err(ReadError::required("userId"));
        }
        if self.session_id.is_none() && (creates || !has_lines) {
            return Err(ReadError::required("sessionId"));
        }
        if creates || self.items.is_some() {
            self.lines()?;
        }
        Ok(())
    }
}

deserialize_from_fields!(OrderEventMessage);
