//! What an order does when something happens to it. Pure: no clock, no I/O, no random numbers.
//!
//! [`decide()`] is one exhaustive match over (status, message). Time, prices and policy arrive in
//! [`Facts`]; ids of payments, refunds and notifications derive from the order number and a
//! counter, so that deciding twice names the same things.

mod cancel;
mod create;
mod decide;
mod event;
mod expiry;
mod facts;
mod message;
mod order;
mod payment;
mod refund;
mod stock;

pub use create::Refusal;
pub use decide::{Decided, Decision, decide};
pub use event::{Call, CallKind, Event, Notice, Reply, Work};
pub use facts::{Facts, Policy, Sale, SaleTicket};
pub use message::{
    Captured, Message, NewLine, NewOrder, Origin, ProviderEvent, RefundOutcome, Step,
};
pub use order::{Line, Order, Payment, PaymentStatus, Refund, RefundStatus, Status};

#[cfg(test)]
mod tests;
