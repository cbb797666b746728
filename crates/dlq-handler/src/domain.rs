//! What a dead letter is, and what may be done with it. Pure.

mod cause;
mod dead_letter;
mod replay;
mod status;

pub use cause::Causes;
pub use dead_letter::{DeadLetter, Death, Facts};
pub use replay::{Refusal, replayed_properties};
pub use status::{Found, Status, UnknownStatus};
