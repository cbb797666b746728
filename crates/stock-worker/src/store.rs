//! All SQL of stock-worker.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use common::inbox::Inbox;
use common::outbox::Outbox;
use common::pipeline::StoreError;
use common::postgres::{Class, Pool, classify};
use sqlx::migrate::Migrator;

mod apply;
mod counters;
mod holds;
mod load;
mod plan;
mod reservation;
mod sale;
mod session_rows;
mod show;
mod view;

pub use load::Snapshot;
pub use plan::{Plan, Planned, Verdict};
pub use reservation::ReservationView;
pub use sale::SaleUpdate;
pub use session_rows::{LoadLease, SessionSnapshot};
pub use show::{NewSession, NewShow, NewTicketType, PutError, PutOutcome, StoredSession};
pub use view::{StockRow, StockView};

/// The schema that stock-worker owns.
pub const SCHEMA: &str = "stock";
/// Its migrations.
pub static MIGRATIONS: Migrator = sqlx::migrate!();
/// How the database is called in readiness and in errors.
pub const DATABASE: &str = "postgresql";

/// stock-worker's tables.
#[derive(Clone)]
pub struct Store {
    pool: Pool,
    outbox: Outbox,
    inbox: Inbox,
    /// How long the rows of the outbox are leased to their writer.
    lease: Duration,
    /// Where `SALE_CHANGED` goes.
    topic: Arc<str>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Store {
    /// The tables behind `pool`; facts about sales go to `topic`.
    pub fn new(pool: Pool, lease: Duration, topic: Arc<str>) -> Self {
        Self { pool, outbox: Outbox::new(SCHEMA), inbox: Inbox::new(SCHEMA), lease, topic }
    }
}

/// What an error of the database means for a batch.
fn store_error(error: &sqlx::Error) -> StoreError {
    match classify(error) {
        Class::Away(reason) | Class::Pause(reason) => {
            StoreError::Away { dependency: DATABASE, reason }
        }
        data @ Class::Data { .. } => StoreError::Data(data.to_string()),
    }
}

/// A value in a column that this build can't have written.
fn unreadable(what: impl fmt::Display) -> sqlx::Error {
    sqlx::Error::Decode(what.to_string().into())
}
