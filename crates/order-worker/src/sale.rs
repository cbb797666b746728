//! The process's copy of every session's sale, and where it comes from.
//!
//! `SALE_CHANGED` is written to `sale_sessions` by one member of the group; every process reads
//! what is newer than its copy each `sale_refresh_ms`, and with each batch of creations.

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
use crate::store::{SaleRow, Store};

/// The copy; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Sales(Arc<RwLock<HashMap<SessionId, Arc<Sale>>>>);

impl Sales {
    /// Whether any sale is known.
    pub fn is_empty(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// What the copy has of these sessions.
    pub fn of(&self, sessions: &[SessionId]) -> HashMap<SessionId, Arc<Sale>> {
        let copy = self.0.read().unwrap_or_else(PoisonError::into_inner);
        sessions
            .iter()
            .filter_map(|session_id| Some((*session_id, copy.get(session_id)?.clone())))
            .collect()
    }

    /// Whether orders of the session may find something to buy, as far as the copy knows.
    pub fn sells(&self, session_id: SessionId) -> bool {
        let copy = self.0.read().unwrap_or_else(PoisonError::into_inner);
        copy.get(&session_id)
            .is_some_and(|sale| sale.open && sale.tickets.values().any(|ticket| !ticket.sold_out))
    }

    /// The versions that the copy has.
    pub fn known(&self) -> Vec<(SessionId, i64)> {
        let copy = self.0.read().unwrap_or_else(PoisonError::into_inner);
        copy.values().map(|sale| (sale.session_id, sale.version)).collect()
    }

    /// Takes over `SALE_CHANGED` messages, as they were stored; older ones change nothing.
    pub fn learn(&self, bodies: &[Vec<u8>]) {
        for body in bodies {
            match SaleChanged::read(Tag::SaleChanged, body) {
                Ok(message) => {
                    let mut copy = self.0.write().unwrap_or_else(PoisonError::into_inner);
                    let known = copy.get(&message.session_id).map(|sale| sale.version);
                    if known.is_none_or(|version| version < message.version) {
                        copy.insert(message.session_id, Arc::new(sale_of(&message)));
                    }
                }
                // It was read once before it was stored; a newer build wrote what we can't read.
                Err(error) => tracing::error!(%error, "a stored sale can't be read"),
            }
        }
    }

    /// Takes over what is newer than the copy.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn refresh(&self, store: &Store) -> Result<(), sqlx::Error> {
        self.learn(&store.newer_sales(&self.known()).await?);
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
