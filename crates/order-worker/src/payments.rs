//! Payments: the gateway port, its two adapters, callbacks, and the executor of calls.
//!
//! A call to a provider is a row that the deciding transaction wrote. The [`Executor`] makes it
//! after the commit and hands the provider's answer back as a message about the order; the
//! transaction that applies the answer ends the call. So a crash between any two of these steps
//! makes the call again, under the same id, which is the provider's idempotency key. A gateway in
//! this process has nobody to ask: its answer is decided in the transaction that asks.

mod answer;
mod call;
mod callback;
mod config;
mod driver;
mod executor;
mod gateway;
mod instant;
mod ledger;
pub mod metric;
mod parked;
mod sandbox;
pub mod signature;
mod sweeper;

pub use callback::{Callbacks, PROVIDER, Taken, Unfit};
pub use config::{GatewayKind, MethodConfig, PaymentConfig, SandboxConfig};
pub use executor::{Executor, HandOver, Intake, hand_over};
pub use gateway::{Closed, Gateway, GatewayError, Gateways, Opened, Refunded};
pub use instant::Instant;
pub use ledger::{Ledger, OrderLedger};
pub use parked::Parked;
pub use sandbox::Sandbox;
