//! The process's copy of every session's sale, and where it comes from.
//!
//! `SALE_CHANGED` is written to `sale_sessions` by one member of the group; every process reads
//! what is newer than its copy each `sale_refresh_ms`. Creation reads the rows themselves.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use common::bus::IncomingMessage;
use common::pipeline::{Recorded, Sink, StoreError, Unreadable};
use common::readiness::Dependency;
use contracts::{Body as _, SaleChanged, SaleState, SessionId, Tag};
use tokio_util::sync::CancellationToken;

use crate::domain::{Sale, SaleTicket};
use crate::handlers::envelope_of;
use crate::store::{SaleRow, Store, fault};

/// The copy; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Sales(Arc<RwLock<HashMap<SessionId, Arc<Sale>>>>);

impl Sales {
    /// The session's sale as this process last saw it, at most `sale_refresh_ms` ago.
    pub fn get(&self, session_id: SessionId) -> Option<Arc<Sale>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&session_id).cloned()
    }

    /// Whether any sale is known.
    pub fn is_empty(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// These sessions' sales as the rows say now.
    ///
    /// # Errors
    /// [`StoreError::Away`].
    pub async fn current(
        &self,
        sessions: Vec<SessionId>,
        store: &Store,
    ) -> Result<HashMap<SessionId, Arc<Sale>>, StoreError> {
        if sessions.is_empty() {
            return Ok(HashMap::new());
        }
        self.refresh(store).await.map_err(|error| fault(&error))?;
        Ok(sessions
            .into_iter()
            .filter_map(|session_id| Some((session_id, self.get(session_id)?)))
            .collect())
    }

    /// Takes over what is newer than the copy.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn refresh(&self, store: &Store) -> Result<(), sqlx::Error> {
        let known: Vec<(SessionId, i64)> = self
            .0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .map(|sale| (sale.session_id, sale.version))
            .collect();
        let rows = store.newer_sales(&known).await?;
        if rows.is_empty() {
            return Ok(());
        }
        let mut copy = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for row in rows {
            match SaleChanged::read(Tag::SaleChanged, &row.body) {
                Ok(message) => {
                    copy.insert(row.session_id, Arc::new(sale_of(&message)));
                }
                // It was read once before it was stored; a newer build wrote what we can't read.
                Err(error) => tracing::error!(
                    session.id = %row.session_id, %error, "a stored sale can't be read"
                ),
            }
        }
        Ok(())
    }

    /// Refreshes every `interval` until `stop`; `known` is up once any sale is known.
    pub async fn keep_fresh(
        self,
        store: Store,
        interval: Duration,
        known: Dependency,
        stop: CancellationToken,
    ) {
        loop {
            match self.refresh(&store).await {
                Ok(()) if self.is_empty() => known.away("no sale is known yet"),
                Ok(()) => known.up(),
                // The database's own dependency says why.
                Err(error) => tracing::debug!(%error, "the sales could not be refreshed"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(interval) => {}
            }
        }
    }
}

fn sale_of(message: &SaleChanged) -> Sale {
    Sale {
        session_id: message.session_id,
        show_id: message.show_id,
        version: message.version,
        open: message.state == SaleState::Open,
        starts_at: message.sale_starts_at,
        ends_at: message.sale_ends_at,
        currency: message.currency,
        hold: message.hold_seconds.map(|seconds| TimeDelta::seconds(i64::from(seconds))),
        per_user_limit: message.per_user_limit,
        tickets: message
            .ticket_types
            .iter()
            .map(|ticket| {
                let sale_ticket = SaleTicket {
                    unit_price: ticket.unit_price,
                    per_order_limit: ticket.per_order_limit.map(contracts::Quantity::get),
                    sold_out: ticket.sold_out,
                };
                (ticket.ticket_id, sale_ticket)
            })
            .collect(),
    }
}

/// Stores `SALE_CHANGED`: the newest version of each session.
#[derive(Debug, Clone)]
pub struct SaleSink(pub Store);

#[async_trait]
impl Sink for SaleSink {
    type Record = SaleRow;

    async fn store(&self, group: &str, records: &[Recorded<SaleRow>]) -> Result<(), StoreError> {
        self.0.store_sales(group, records).await
    }
}

/// Reads `SALE_CHANGED`.
///
/// # Errors
/// Names the field that can't be read.
pub fn read(incoming: &IncomingMessage) -> Result<Recorded<SaleRow>, Unreadable> {
    if &*incoming.tag != Tag::SaleChanged.as_str() {
        return Err(Unreadable(format!("tag: no handler for {:?}", incoming.tag)));
    }
    let message = SaleChanged::read(Tag::SaleChanged, &incoming.body)
        .map_err(|error| Unreadable(error.to_string()))?;
    let (event_id, _) = envelope_of(incoming, &message)?;
    Ok(Recorded {
        event_id,
        record: SaleRow {
            session_id: message.session_id,
            version: message.version,
            body: incoming.body.to_vec(),
        },
    })
}
