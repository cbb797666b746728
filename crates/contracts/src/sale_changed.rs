//! A session's sale as stock-worker knows it.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::body::deserialize_from_fields;
use crate::read::{Fields, FromField, Written};
use crate::wire_enum::wire_enum;
use crate::{
    Amount, Body, Currency, Extra, LocalTime, Quantity, ReadError, SessionId, ShowId, Subject, Tag,
    TicketId,
};

/// What `operation` says: Java's consumer of the topic switches on it and throws on null.
const OPERATION: &str = "SALE_CHANGED";

wire_enum! {
    /// Whether tickets can be bought.
    SaleState, "draft, open or closed" {
        /// Not yet offered.
        Draft = "draft",
        /// Offered, within the sale's window.
        Open = "open",
        /// No longer offered.
        Closed = "closed",
    }
}

/// The whole sale of one session; the newer version replaces the older.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SaleChanged {
    pub session_id: SessionId,
    pub show_id: ShowId,
    /// Grows with every change.
    pub version: i64,
    pub state: SaleState,
    /// The first moment of the sale; open from the start without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sale_starts_at: Option<DateTime<Utc>>,
    /// The first moment after the sale; no end without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sale_ends_at: Option<DateTime<Utc>>,
    pub currency: Currency,
    /// How long stock is held, in seconds; the worker's default without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_seconds: Option<u32>,
    /// The most tickets of the session that one buyer may hold; no limit without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_user_limit: Option<i32>,
    pub ticket_types: Vec<SaleTicketType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_time: Option<LocalTime>,
    /// Fields that we don't know; `operation` is written besides.
    #[serde(flatten)]
    pub extra: Extra,
    operation: Operation,
}

impl SaleChanged {
    /// A draft without ticket types.
    pub fn new(show_id: ShowId, session_id: SessionId, version: i64, currency: Currency) -> Self {
        Self {
            session_id,
            show_id,
            version,
            state: SaleState::Draft,
            sale_starts_at: None,
            sale_ends_at: None,
            currency,
            hold_seconds: None,
            per_user_limit: None,
            ticket_types: Vec::new(),
            event_time: None,
            extra: Extra::new(),
            operation: Operation,
        }
    }

    /// Whether tickets can be bought at this moment.
    pub fn is_open_at(&self, now: DateTime<Utc>) -> bool {
        self.state == SaleState::Open
            && self.sale_starts_at.is_none_or(|start| start <= now)
            && self.sale_ends_at.is_none_or(|end| now < end)
    }

    /// The ticket type with this id.
    pub fn ticket_type(&self, ticket_id: TicketId) -> Option<&SaleTicketType> {
        self.ticket_types.iter().find(|ticket_type| ticket_type.ticket_id == ticket_id)
    }
}

/// One ticket type of a sale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SaleTicketType {
    pub ticket_id: TicketId,
    pub name: String,
    pub unit_price: Amount,
    /// The most tickets of this type in one order; no limit without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_order_limit: Option<Quantity>,
    pub sold_out: bool,
    /// Fields that we don't know.
    #[serde(flatten)]
    pub extra: Extra,
}

impl FromField for SaleTicketType {
    fn from_field(value: Written<'_>) -> Result<Self, ReadError> {
        let mut fields = Fields::inside(value)?;
        Ok(Self {
            ticket_id: fields.required("ticketId")?,
            name: fields.required("name")?,
            unit_price: fields.required("unitPrice")?,
            per_order_limit: fields.optional("perOrderLimit")?,
            sold_out: fields.required("soldOut")?,
            extra: fields.rest()?,
        })
    }
}

/// The constant `SALE_CHANGED`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Operation;

impl Serialize for Operation {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(OPERATION)
    }
}

impl FromField for Operation {
    fn from_field(value: Written<'_>) -> Result<Self, ReadError> {
        match value.text().as_deref() {
            Some(OPERATION) => Ok(Self),
            _ => Err(crate::read::mismatch(OPERATION, value)),
        }
    }
}

impl Body for SaleChanged {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, ReadError> {
        Ok(Self {
            operation: fields.required("operation")?,
            session_id: fields.required("sessionId")?,
            show_id: fields.required("showId")?,
            version: fields.required("version")?,
            state: fields.required("state")?,
            sale_starts_at: fields.optional("saleStartsAt")?,
            sale_ends_at: fields.optional("saleEndsAt")?,
            currency: fields.required("currency")?,
            hold_seconds: fields.optional("holdSeconds")?,
            per_user_limit: fields.optional("perUserLimit")?,
            ticket_types: fields.required("ticketTypes")?,
            event_time: fields.optional("eventTime")?,
            extra: fields.rest()?,
        })
    }

    fn subject(&self) -> Subject<'_> {
        let event_time = self.event_time.map(LocalTime::utc);
        Subject { order_no: "", event_type: OPERATION, event_time }
    }

    fn check(&self, tag: Tag) -> Result<(), ReadError> {
        match tag {
            Tag::SaleChanged => Ok(()),
            other => {
                let problem = format!("{OPERATION} does not belong to tag {other}");
                Err(ReadError::new("operation", problem))
            }
        }
    }
}

deserialize_from_fields!(SaleChanged);
