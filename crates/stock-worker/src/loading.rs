//! Loading a session into Redis.
//!
//! One at a time for each session, by a lease in PostgreSQL:
//! 1. the epoch is raised in PostgreSQL, so that nothing granted under the old one commits;
//! 2. the session is read in one snapshot;
//! 3. Redis is filled, the epoch last: from then on it answers again;
//! 4. what committed since the snapshot is settled. Its own settling may have met Redis while it
//!    was empty; whatever is settled after step 3 finds the session open;
//! 5. the epoch is noted in PostgreSQL as loaded: a process that died before has left something out.

use std::time::Duration;

use contracts::SessionId;
use tokio::time::Instant;

use crate::domain::Hold;
use crate::gate::{Epoch, Gate, GateError, HoldNo, Record, SessionRows, SettleBatch};
use crate::metric;
use crate::stock::{settle_lines, settle_order};
use crate::store::{LoadLease, SessionSnapshot, Store};

/// Orders that are settled in one round trip.
const SETTLE_CHUNK_ORDERS: usize = 2_048;

/// Loads sessions.
#[derive(Clone)]
pub struct Loader {
    store: Store,
    gate: Gate,
}

/// What was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadedSession {
    pub epoch: i64,
    pub ticket_types: usize,
    pub records: usize,
    pub users: usize,
    pub took: Duration,
}

/// Why a session was not loaded. It may answer `NOT_LOADED` until it is loaded again.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("there is no session {0} with ticket types")]
    Unknown(SessionId),
    #[error("session {0} is being loaded already")]
    Busy(SessionId),
    #[error("the database could not be read")]
    Database(#[from] sqlx::Error),
    #[error("Redis could not be filled")]
    Gate(#[from] GateError),
}

impl Loader {
    pub fn new(store: Store, gate: Gate) -> Self {
        Self { store, gate }
    }

    /// Loads a session; once this returns, the gate answers for it.
    ///
    /// # Errors
    /// See [`LoadError`]. Reservations of the session then wait; nothing else does.
    pub async fn load(&self, session_id: SessionId) -> Result<LoadedSession, LoadError> {
        let started = Instant::now();
        let lease = self.store.load_lease(session_id).await?;
        let mut lease = lease.ok_or(LoadError::Busy(session_id))?;
        let done = self.fill(&mut lease, session_id, started).await;
        lease.release().await;
        let loaded = done?;
        metrics::histogram!(metric::LOAD_SECONDS).record(loaded.took.as_secs_f64());
        tracing::info!(
            session.id = %session_id, epoch = loaded.epoch, records = loaded.records,
            took_ms = loaded.took.as_millis(), "session {session_id} is loaded"
        );
        Ok(loaded)
    }

    /// Loads a session whose epoch in Redis is not the one in PostgreSQL, or whose load did not go
    /// to its end; `None` when all is well, or when the session was never loaded.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub async fn catch_up(
        &self,
        session_id: SessionId,
        epoch: i64,
    ) -> Result<Option<LoadedSession>, LoadError> {
        if epoch == 0 {
            return Ok(None);
        }
        let is_complete = self.store.loaded_epoch(session_id).await? == epoch;
        if is_complete && self.gate.snapshot(session_id).await?.epoch == Some(Epoch(epoch)) {
            return Ok(None);
        }
        self.load(session_id).await.map(Some)
    }

    async fn fill(
        &self,
        lease: &mut LoadLease,
        session_id: SessionId,
        started: Instant,
    ) -> Result<LoadedSession, LoadError> {
        let epoch = lease.raise_epoch().await?.ok_or(LoadError::Unknown(session_id))?;
        let snapshot = lease.snapshot().await?;
        let taken_at = snapshot.taken_at;
        let rows = rows(snapshot);
        self.gate.load(session_id, Epoch(epoch), &rows).await?;
        let changed = lease.changed_since(taken_at).await?;
        for chunk in changed.chunks(SETTLE_CHUNK_ORDERS) {
            let orders = chunk.iter().filter(|(hold, _)| is_told(hold));
            let batch = SettleBatch {
                session: session_id,
                epoch: Epoch(epoch),
                orders: orders.map(|(hold, _)| settle_order(hold)).collect(),
            };
            self.gate.settle(&[batch]).await?;
        }
        lease.note_loaded(epoch).await?;
        Ok(LoadedSession {
            epoch,
            ticket_types: rows.stock.len(),
            records: rows.records.len(),
            users: rows.users.len(),
            took: started.elapsed(),
        })
    }
}

/// An order that was refused before anything was granted has no record.
fn is_told(hold: &Hold) -> bool {
    hold.reason.is_none() || hold.live_quantity() > 0
}

fn rows(snapshot: SessionSnapshot) -> SessionRows {
    let record = |(hold, changed_at): (Hold, _)| Record {
        lines: settle_lines(&hold),
        hold: HoldNo::new(hold.hold).unwrap_or_default(),
        user: hold.user_id,
        changed_at,
        order_no: hold.order_no,
    };
    SessionRows {
        stock: snapshot.stock,
        records: snapshot.holds.into_iter().map(record).collect(),
        users: snapshot.users,
    }
}
