use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use common::pipeline::{CallError, LocalQueue};
use contracts::OrderNo;

use crate::aggregate::{Key, Orders};
use crate::domain::{Message, Reply};
use crate::store::{ClaimedCall, ParkedEvent, Store};

/// The orders, as the part that talks to providers sees them.
///
/// A trait, so that the executor's waits and last attempts are tested in no time.
#[async_trait]
pub trait Ledger: Send + Sync + 'static {
    /// Decides a message about an order; once this returns, the decision has committed.
    ///
    /// # Errors
    /// As [`LocalQueue::call_patiently`].
    async fn decide(&self, order_no: OrderNo, message: Message) -> Result<Reply, CallError>;

    /// Claims calls that nobody is making.
    ///
    /// # Errors
    /// What PostgreSQL says.
    async fn claim_calls(
        &self,
        limit: i64,
        lease: Duration,
    ) -> Result<Vec<ClaimedCall>, sqlx::Error>;

    /// Counts a failed attempt and leaves the call alone for `delay`.
    ///
    /// # Errors
    /// What PostgreSQL says.
    async fn put_off_call(&self, call_id: &str, delay: Duration) -> Result<(), sqlx::Error>;

    /// Stores a provider's event without its effect.
    ///
    /// # Errors
    /// What PostgreSQL says.
    async fn park_event(&self, event: &ParkedEvent) -> Result<(), sqlx::Error>;

    /// Claims events that wait for their effect.
    ///
    /// # Errors
    /// What PostgreSQL says.
    async fn claim_parked(
        &self,
        limit: i64,
        lease: Duration,
    ) -> Result<Vec<ParkedEvent>, sqlx::Error>;

    /// Ends the wait of an event that will never take effect.
    ///
    /// # Errors
    /// What PostgreSQL says.
    async fn end_parked(&self, event: &ParkedEvent, outcome: &str) -> Result<(), sqlx::Error>;
}

/// The real one: the in-process queue, and the tables.
#[derive(Clone)]
pub struct OrderLedger {
    pub queue: Arc<LocalQueue<Orders>>,
    pub store: Store,
}

impl fmt::Debug for OrderLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrderLedger").finish_non_exhaustive()
    }
}

#[async_trait]
impl Ledger for OrderLedger {
    async fn decide(&self, order_no: OrderNo, message: Message) -> Result<Reply, CallError> {
        self.queue.call_patiently(Key::Order(order_no), message).await
    }

    async fn claim_calls(
        &self,
        limit: i64,
        lease: Duration,
    ) -> Result<Vec<ClaimedCall>, sqlx::Error> {
        self.store.claim_calls(limit, lease).await
    }

    async fn put_off_call(&self, call_id: &str, delay: Duration) -> Result<(), sqlx::Error> {
        self.store.put_off_call(call_id, delay).await
    }

    async fn park_event(&self, event: &ParkedEvent) -> Result<(), sqlx::Error> {
        self.store.park_event(event).await
    }

    async fn claim_parked(
        &self,
        limit: i64,
        lease: Duration,
    ) -> Result<Vec<ParkedEvent>, sqlx::Error> {
        self.store.claim_parked(limit, lease).await
    }

    async fn end_parked(&self, event: &ParkedEvent, outcome: &str) -> Result<(), sqlx::Error> {
        self.store.set_parked_outcome(&event.provider, &event.event_id, outcome).await
    }
}
