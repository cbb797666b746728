//! The schema `dlq`. All SQL of this worker is below here.

use std::time::Duration;

use common::outbox::Outbox;
use common::pipeline::StoreError;
use common::postgres::{Class, Pool, classify};
use sqlx::migrate::Migrator;

mod archive;
mod discard;
mod find;
mod replay;
mod watch;

pub use archive::Archived;
pub use find::{Filter, Full, PastDeath, PastReplay, Summary};
pub use replay::{Requested, Started};

/// The schema's name.
pub const SCHEMA: &str = "dlq";

/// Brings the schema up to date.
pub static MIGRATOR: Migrator = sqlx::migrate!();

const DATABASE: &str = "postgresql";

/// The tables of the schema `dlq`.
#[derive(Debug, Clone)]
pub struct Store {
    pool: Pool,
    outbox: Outbox,
    /// How long outbox rows belong to whoever wrote them.
    outbox_lease: Duration,
}

/// The end of a request about one dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer<T> {
    Done(T),
    Refused(crate::domain::Refusal),
    NotFound,
}

impl Store {
    /// Connects nothing: the pool does that when it is needed.
    pub fn new(pool: Pool, outbox_lease: Duration) -> Self {
        Self { pool, outbox: Outbox::new(SCHEMA), outbox_lease }
    }

    /// Closes the connections.
    pub async fn close(&self) {
        self.pool.close().await;
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

/// A column whose text this program wrote: anything else is a broken row.
fn status_of(text: &str) -> Result<crate::domain::Status, sqlx::Error> {
    text.parse().map_err(|error: crate::domain::UnknownStatus| sqlx::Error::Decode(error.into()))
}
