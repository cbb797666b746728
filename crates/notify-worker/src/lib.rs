//! Tells people what became of their orders: each notification recorded once, delivered at least
//! once under an id that never changes.
//!
//! A message on `NOTIFICATION_TOPIC` becomes a row, and a call in the same transaction. After the
//! commit the call is made by the channel's office; its outcome is a message to the same
//! notification, and the transaction that applies it ends the call.

pub mod api;
pub mod channels;
pub mod config;
pub mod delivery;
pub mod domain;
pub mod handlers;
pub mod metric;
pub mod store;
pub mod templates;
pub mod worker;

pub use config::Config;
pub use worker::{PROGRAM, migrate, run};
