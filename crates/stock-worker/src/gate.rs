//! The stock gate: what Redis says before PostgreSQL decides.
//!
//! Redis answers tens of thousands of "is one left?" a second, so that PostgreSQL only sees orders
//! that can succeed. It may be wrong or empty at any moment: PostgreSQL decides, and [`Gate::settle`]
//! tells Redis. No other module names a Redis key.
//!
//! # Keys of session S
//! All carry one hash tag, so that one script sees them all: `<prefix>{s:S}:stock` (ticket type ->
//! free tickets), `:hold` (order -> record), `:user` (user -> tickets held and bought), `:epoch`.
//!
//! # Why it does no harm
//! - **One record per order**, looked up before anything else: what comes twice finds what the first
//!   one did, even after the last ticket went. An unknown outcome ([`GateError::Away`]) is therefore
//!   simply asked again.
//! - **A release without a record leaves a tombstone**: a reservation that comes later is refused.
//! - **Records have no TTL.** They go by [`Gate::prune`], when PostgreSQL says that they are over.
//! - **`settle` only moves forward**, so that a late one changes nothing.
//! - **Scripts check everything, then write**: Redis has no rollback.
//! - **Epochs**: a rebuild raises the session's epoch in PostgreSQL first; whoever still has the old
//!   one is told `STALE_EPOCH`. A session that is absent or being loaded says `NOT_LOADED`; nothing is
//!   ever made up for it.

mod call;
mod error;
mod keys;
mod load;
mod prune;
mod read;
mod record;
pub mod reference;
mod reserve;
mod server;
mod settle;
mod types;

use common::redis::Connection;

pub use self::call::MAX_ORDERS_PER_CALL;
pub use self::error::GateError;
pub use self::load::{LOAD_CHUNK_ROWS, Loading, SessionRows};
pub use self::prune::PRUNE_CHUNK_ORDERS;
pub use self::read::{Cursor, PAGE_ROWS, Page, Snapshot};
pub use self::record::{HoldLine, HoldState, Record};
pub use self::reserve::{ReserveAnswer, ReserveBatch, ReserveMode, ReserveOrder};
pub use self::server::{Server, ServerIdentity};
pub use self::settle::{SettleAnswer, SettleBatch, SettleOrder};
pub use self::types::{Epoch, HoldNo};

use self::call::Scripts;
use self::keys::Keys;

/// The gate's client. Cloning is cheap; clones share one connection.
#[derive(Clone)]
pub struct Gate {
    connection: Connection,
    keys: Keys,
    scripts: Scripts,
}

impl Gate {
    /// A gate on this connection.
    ///
    /// The prefix is put before every key, so that several deployments or tests can share a Redis;
    /// it must not contain `{` or `}`, which mean something to a Redis cluster.
    ///
    /// # Errors
    /// [`GateError::Prefix`] when it does.
    pub fn new(connection: Connection, prefix: &str) -> Result<Self, GateError> {
        Ok(Self { connection, keys: Keys::new(prefix)?, scripts: Scripts::new() })
    }
}
