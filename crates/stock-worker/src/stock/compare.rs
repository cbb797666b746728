//! What SYNC asks for: Redis beside PostgreSQL. It looks; it changes nothing.

use contracts::{SessionId, TicketId};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::gate::Gate;
use crate::metric;
use crate::store::Store;

/// Comparisons that wait at most.
const QUEUE_MAX: usize = 64;

/// What is to be compared: the named ticket types, or the whole session.
#[derive(Debug, Clone)]
pub(super) struct Comparison {
    pub(super) session_id: Option<SessionId>,
    pub(super) tickets: Vec<TicketId>,
}

/// Compares, one request at a time.
pub struct Comparer {
    store: Store,
    gate: Gate,
    queue: mpsc::Receiver<Comparison>,
}

pub(super) fn channel(store: Store, gate: Gate) -> (mpsc::Sender<Comparison>, Comparer) {
    let (sender, queue) = mpsc::channel(QUEUE_MAX);
    (sender, Comparer { store, gate, queue })
}

impl Comparer {
    /// Compares until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        while let Some(Some(comparison)) = stop.run_until_cancelled(self.queue.recv()).await {
            let outcome = match self.compare(&comparison).await {
                Ok(0) => "same",
                Ok(_) => "different",
                Err(error) => {
                    tracing::warn!(
                        error = common::life::chain(&*error),
                        "Redis could not be compared with PostgreSQL"
                    );
                    "failed"
                }
            };
            metrics::counter!(metric::COMPARISONS, "outcome" => outcome).increment(1);
        }
    }

    /// By how many tickets they differ. What is in flight differs, too: a batch moves Redis
    /// first and PostgreSQL a moment later.
    async fn compare(&self, comparison: &Comparison) -> Result<u64, common::life::Failure> {
        let sessions = match comparison.session_id {
            Some(session_id) => vec![session_id],
            None => self.store.sessions_of(&comparison.tickets).await?,
        };
        let mut difference = 0;
        for session_id in sessions {
            let redis = self.gate.snapshot(session_id).await?;
            let Some(stock) = self.store.stock(session_id).await? else { continue };
            for row in stock.ticket_types {
                let tickets = &comparison.tickets;
                if !tickets.is_empty() && !tickets.contains(&row.ticket_id) {
                    continue;
                }
                let (free, in_redis) = (row.available(), redis.stock.get(&row.ticket_id).copied());
                let differs = in_redis.unwrap_or(0).abs_diff(free);
                metrics::histogram!(metric::COMPARED_DIFFERENCE).record(differs as f64);
                difference += differs;
                tracing::info!(
                    session.id = %session_id, ticket.id = %row.ticket_id,
                    postgresql = free, redis = in_redis, differs,
                    "session {session_id}, ticket type {}: {free} free in PostgreSQL", row.ticket_id
                );
            }
        }
        Ok(difference)
    }
}
