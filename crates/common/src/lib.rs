//! The runtime of every worker; it knows no business rule.
//!
//! A worker is a list of handlers and a store; what surrounds them is here, the same for all:
//! configuration, logs, metrics, readiness, the admin port, tokens, problems, the database, the
//! bus and the ordered end of a process.

pub mod admin_http;
pub mod auth;
pub mod backoff;
pub mod bus;
pub mod clock;
pub mod config;
pub mod crash;
pub mod decision;
pub mod ids;
pub mod inbox;
pub mod life;
pub mod metric;
pub mod outbox;
pub mod pipeline;
pub mod postgres;
pub mod problem;
pub mod readiness;
pub mod redis;
pub mod telemetry;
pub mod testing;
pub mod worker;
