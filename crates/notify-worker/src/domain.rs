//! What a notification is and what becomes of it. Pure.

mod decide;
mod notification;
mod request;

#[cfg(test)]
mod tests;

pub use decide::{Dead, Deliver, Facts, Policy, decide};
pub use notification::{Answer, Message, Notification, Outcome, State, Status};
pub use request::{Content, Original, Request};
