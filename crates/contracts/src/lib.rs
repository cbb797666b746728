//! The messages that Boxoffice's workers and their neighbours exchange.
//!
//! One file per message; nothing but serde behind it, so that any Rust service can depend on it.
//! Java services define the bodies (`OrderEventMessage`, `StockEventMessage`,
//! `NotificationMessage`); what we add to them is optional for them.
//!
//! The rules, the same for every message:
//! - unknown fields are kept and passed on, `null` means absent;
//! - a missing field, a wrong type or a value outside its range is a [`ReadError`] that names the
//!   field, and is permanent;
//! - amounts are decimal strings and never pass through a float.
//!
//! ```
//! use contracts::{Body, OrderEventMessage, Tag};
//!
//! let body = br#"{"orderNo":"A1","userId":7,"sessionId":3,"ticketId":5,"quantity":2,
//!                 "totalAmount":null,"eventType":"CREATED"}"#;
//! let message = OrderEventMessage::read(Tag::OrderCreated, body)?;
//! assert_eq!(message.lines()?[0].quantity.get(), 2);
//!
//! let refused = OrderEventMessage::read(Tag::OrderCreated, b"{}").unwrap_err();
//! assert_eq!(refused.to_string(), "orderNo: required, but absent");
//! # Ok::<(), contracts::ReadError>(())
//! ```

mod amount;
mod body;
mod channel;
mod currency;
mod envelope;
mod extra;
mod ids;
mod line;
mod local_time;
mod notification;
mod order_event;
mod order_status;
pub mod properties;
mod quantity;
mod read;
mod reasons;
mod sale_changed;
mod stock_event;
pub mod topics;
mod wire_enum;

pub use amount::Amount;
pub use body::{Body, MAX_BODY_BYTES, Subject, WriteError};
pub use channel::Channel;
pub use currency::Currency;
pub use envelope::{
    Envelope, NEWEST_READ_VARIABLE, NEWEST_READ_VERSION, WRITE_VERSION, derived_event_id,
    newest_read_version,
};
pub use extra::{Extra, Personal};
pub use ids::{NotificationId, OrderNo, SessionId, ShowId, TicketId, UserId};
pub use line::{Item, Line, MAX_LINES};
pub use local_time::LocalTime;
pub use notification::{Notification, NotificationMessage};
pub use order_event::{OrderEventMessage, OrderEventType};
pub use order_status::OrderStatus;
pub use quantity::Quantity;
pub use read::{Invalid, ReadError};
pub use reasons::{CancelReason, RejectReason};
pub use sale_changed::{SaleChanged, SaleState, SaleTicketType};
pub use stock_event::{StockEventMessage, StockOperation, StockStep};
pub use topics::{Tag, UnknownTag};
