//! order-worker: orders, payments, refunds and deadlines.
//!
//! Rooms: [`domain`] decides (pure), [`handlers`] read and write messages, [`api`] is HTTP,
//! [`payments`] talks to providers, [`store`] is all SQL, [`expiry`] sweeps deadlines, [`waiting`]
//! is who waits for an order, [`admission`] who is turned away.

pub mod admission;
pub mod aggregate;
pub mod api;
pub mod config;
pub mod domain;
pub mod expiry;
pub mod handlers;
pub mod metric;
pub mod payments;
pub mod run;
pub mod sale;
pub mod store;
pub mod waiting;
