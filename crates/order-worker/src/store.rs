//! All SQL of order-worker.
//!
//! Batches are arrays: one statement per kind of row, `unnest`ed on the server. Rows are locked
//! in the order of their numbers, orders first, so that two batches never deadlock.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use common::inbox::{Inbox, is_known};
use common::outbox::{Outbox, Past};
use common::pipeline::{Applied, Change, StoreError};
use common::postgres::{Class, Heard, Pool, classify, transact};
use contracts::{OrderNo, OrderStatus, SessionId};
use tokio::time::Instant;
use uuid::Uuid;

use crate::aggregate::{Key, Orders};
use crate::domain::{Order, Work};

mod calls;
mod events;
mod expiry;
mod read;
mod sale;
mod write;

pub use calls::ClaimedCall;
pub use events::ParkedEvent;
pub use expiry::Due;
pub use read::Snapshot;
pub use sale::SaleRow;

/// The schema that order-worker owns.
pub const SCHEMA: &str = "orders";

/// Its migrations.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();

/// How many of an order's events are shown.
const HISTORY_MAX: i64 = 200;

/// The database, as order-worker uses it.
#[derive(Debug, Clone)]
pub struct Store {
    pool: Pool,
    outbox: Outbox,
    inbox: Inbox,
    /// How long outbox rows and calls are leased to the process that writes them.
    lease: Duration,
    clock: Arc<Heard<DateTime<Utc>>>,
}

impl Store {
    /// `lease` is the relay's.
    pub fn new(pool: Pool, lease: Duration) -> Self {
        let (outbox, inbox) = (Outbox::new(SCHEMA), Inbox::new(SCHEMA));
        Self { pool, outbox, inbox, lease, clock: Arc::default() }
    }

    /// The pool, for the relay and the sweeper.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The outbox table.
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// The inbox table.
    pub fn inbox(&self) -> &Inbox {
        &self.inbox
    }

    /// Reads the orders of all keys, which of `events` the inbox of `group` knows, and (when
    /// orders are created) the sales that are newer than `known_sales`. When it is only for the
    /// database's time, that is reckoned from what it was within the last second.
    ///
    /// # Errors
    /// [`StoreError::Away`] or [`StoreError::Data`].
    pub async fn load(
        &self,
        group: &str,
        keys: &[&Key],
        creations: &[(&Key, &OrderNo)],
        events: &[Uuid],
        known_sales: Option<&[(SessionId, i64)]>,
    ) -> Result<Snapshot, StoreError> {
        if keys.is_empty()
            && events.is_empty()
            && known_sales.is_none()
            && let Some((said, age)) = self.clock.recent()
        {
            return Ok(Snapshot::of_nothing(said + age));
        }
        let asked = Instant::now();
        let read = read::load(&self.pool, group, keys, creations, events, known_sales).await;
        let snapshot = read.map_err(|error| fault(&error))?;
        self.clock.hear(snapshot.now, asked);
        Ok(snapshot)
    }

    /// The order with this number.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn order(&self, order_no: &OrderNo) -> Result<Option<Order>, sqlx::Error> {
        let key = Key::Order(order_no.clone());
        let snapshot = read::load(&self.pool, "", &[&key], &[], &[], None).await?;
        Ok(snapshot.orders.into_iter().next())
    }

    /// The statuses of these orders; one that is not there is left out.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn statuses(
        &self,
        numbers: &[OrderNo],
    ) -> Result<Vec<(OrderNo, OrderStatus)>, sqlx::Error> {
        read::statuses(&self.pool, numbers).await
    }

    /// The order's events, oldest first.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn history(&self, order_no: &OrderNo) -> Result<Vec<Past>, sqlx::Error> {
        self.outbox.history(&self.pool, order_no.as_str(), HISTORY_MAX).await
    }

    /// Writes all changes in one transaction: each by compare-and-set on its base version. One
    /// statement does it all as long as everything is as it was loaded.
    ///
    /// # Errors
    /// [`StoreError::Away`] or [`StoreError::Data`]; then nothing is written.
    pub async fn apply(
        &self,
        group: &str,
        changes: Arc<Vec<Change<Orders>>>,
    ) -> Result<Vec<Applied<()>>, StoreError> {
        let count = changes.len();
        let (outbox, inbox, lease) = (&self.outbox, &self.inbox, self.lease);
        let batch = write::Batch::of(&changes);
        let whole = write::write_whole(&self.pool, &batch, group, outbox, inbox, lease).await;
        if whole.map_err(|error| fault(&error))? {
            return Ok(vec![Applied::Applied; count]);
        }
        let (outbox, inbox, group) = (outbox.clone(), inbox.clone(), group.to_owned());
        let written = transact(&self.pool, move |connection| {
            Box::pin(async move {
                let batch = write::Batch::of(&changes);
                write::write(connection, &batch, &group, &outbox, &inbox, lease).await
            })
        })
        .await;
        let hits: HashSet<usize> = match written {
            Err(error) if is_known(&error) => return Ok(vec![Applied::Missed; count]),
            written => written.map_err(|error| fault(&error))?,
        };
        let applied =
            |index| if hits.contains(&index) { Applied::Applied } else { Applied::Missed };
        Ok((0..count).map(applied).collect())
    }
}

/// The calls that a fold leaves to be made: started, and not ended in the same fold.
pub fn calls_left(work: &[Work]) -> Vec<crate::domain::Call> {
    let mut left: Vec<crate::domain::Call> = Vec::new();
    for work in work {
        match work {
            Work::Start(call) => left.push(call.clone()),
            Work::End { call_id } => left.retain(|call| call.call_id != *call_id),
            Work::Receipt { .. } => {}
        }
    }
    left
}

/// What an error means for the batch.
pub(crate) fn fault(error: &sqlx::Error) -> StoreError {
    match classify(error) {
        Class::Data { sqlstate, message, .. } => StoreError::Data(format!("{sqlstate}: {message}")),
        Class::Away(reason) | Class::Pause(reason) => {
            StoreError::Away { dependency: "postgresql", reason }
        }
    }
}
