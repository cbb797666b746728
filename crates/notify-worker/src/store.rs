//! The schema `notify`. All SQL of this worker is below here.

use std::time::Duration;

use common::inbox::Inbox;
use common::outbox::Outbox;
use common::pipeline::StoreError;
use common::postgres::{Class, Pool, classify};
use sqlx::migrate::Migrator;

mod apply;
mod calls;
mod load;
mod recipients;
mod templates;

pub(crate) use apply::Write;
pub(crate) use calls::Claimed;
pub use recipients::Recipient;
pub(crate) use templates::TemplateRow;

/// The schema's name.
pub const SCHEMA: &str = "notify";

/// Brings the schema up to date.
pub static MIGRATOR: Migrator = sqlx::migrate!();

const DATABASE: &str = "postgresql";

/// The tables of the schema `notify`.
#[derive(Debug, Clone)]
pub struct Store {
    pool: Pool,
    inbox: Inbox,
    outbox: Outbox,
    /// How long outbox rows belong to whoever wrote them.
    outbox_lease: Duration,
    /// How long a call belongs to whoever wrote or claimed it.
    call_lease: Duration,
}

impl Store {
    /// Connects nothing: the pool does that when it is needed.
    pub fn new(pool: Pool, outbox_lease: Duration, call_lease: Duration) -> Self {
        let (inbox, outbox) = (Inbox::new(SCHEMA), Outbox::new(SCHEMA));
        Self { pool, inbox, outbox, outbox_lease, call_lease }
    }

    /// How long a call belongs to whoever wrote or claimed it.
    pub fn call_lease(&self) -> Duration {
        self.call_lease
    }
}

/// What an error of the database means for the batch.
fn meaning(error: sqlx::Error) -> StoreError {
    match classify(&error) {
        Class::Away(reason) | Class::Pause(reason) => {
            StoreError::Away { dependency: DATABASE, reason }
        }
        // The message is left out: PostgreSQL repeats values in it.
        Class::Data { sqlstate, constraint, .. } => {
            let constraint = constraint.unwrap_or_default();
            StoreError::Data(format!("the row was refused: {sqlstate} {constraint}"))
        }
    }
}
