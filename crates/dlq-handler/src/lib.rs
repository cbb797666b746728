//! Archives every dead letter of every consumer group, alerts, and replays by hand.
//!
//! A dead-letter queue expires with the broker's log, so each message is archived at once, with
//! the causes that it carries and what the broker knows about it. An operator decides about it: a
//! replay goes to the one group that could not take it, a discard has a reason. A message that
//! dies again comes back to its own dead letter.

#![recursion_limit = "512"]

pub mod api;
pub mod archive;
pub mod config;
pub mod domain;
pub mod metric;
pub mod replay;
pub mod store;
mod worker;

pub use config::Config;
pub use worker::{PROGRAM, Running, migrate, run};
