//! stock-worker: ticket types, holds, and the Redis counters in front of them.
//!
//! It reacts to order facts and to stock commands, whoever made them, idempotently by order
//! number, and publishes stock facts and `SALE_CHANGED`.

pub mod api;
pub mod config;
pub mod domain;
pub mod gate;
pub mod handlers;
pub mod loading;
pub mod metric;
pub mod sale;
pub mod stock;
pub mod store;
pub mod worker;
