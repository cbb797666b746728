//! What stock does, decided without touching anything: no clock, no database, no Redis.
//!
//! One hold per order: none -> HELD -> SOLD | RELEASED, with its lines inside. A release that
//! comes first leaves a tombstone, a refusal leaves a row with its reason: both are RELEASED with
//! quantity 0, so that whatever comes later finds them.

mod confirm;
mod decide;
mod event;
mod facts;
mod gate_answer;
mod hold;
mod message;
mod release;
mod reserve;

pub use decide::{Decided, Decision, decide};
pub use event::{Event, Fact, Repair, Work};
pub use facts::{Facts, Session, TicketType};
pub use gate_answer::{GateAnswer, Keeper};
pub use hold::{Hold, Line, LineState, RedisView, Shift, shifts};
pub use message::{Extent, Message, Reserve, Selection, Wanted};
pub use reserve::{Question, question};

#[cfg(test)]
mod tests;
