use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::Row as _;

use super::Store;

/// A provider's event that could not take effect yet: stored alone, and tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedEvent {
    pub provider: String,
    pub event_id: String,
    pub order_no: String,
    pub body: Vec<u8>,
    /// Why it waits.
    pub reason: String,
    pub received_at: DateTime<Utc>,
}

impl Store {
    /// Stores the event without its effect; one that is there already is left as it is.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn park_event(&self, event: &ParkedEvent) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO orders.payment_events (provider, event_id, order_no, kind, body, \
               received_at, lease_until) VALUES ($1, $2, $3, $4, $5, $6, now()) \
             ON CONFLICT DO NOTHING",
        )
        .bind(&event.provider)
        .bind(&event.event_id)
        .bind(&event.order_no)
        .bind(&event.reason)
        .bind(&event.body)
        .bind(event.received_at)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Claims up to `limit` parked events; each next claim of one waits twice as long.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn claim_parked(
        &self,
        limit: i64,
        lease: Duration,
    ) -> Result<Vec<ParkedEvent>, sqlx::Error> {
        let rows = sqlx::query(
            "UPDATE orders.payment_events AS e SET attempts = e.attempts + 1, \
               lease_until = now() + $2::float8 * interval '1 second' \
                 * power(2, least(e.attempts, 8)) \
             FROM (SELECT provider, event_id FROM orders.payment_events \
                   WHERE applied_at IS NULL AND outcome IS NULL AND lease_until < now() \
                   ORDER BY lease_until LIMIT $1 FOR UPDATE SKIP LOCKED) AS due \
             WHERE e.provider = due.provider AND e.event_id = due.event_id RETURNING e.*",
        )
        .bind(limit)
        .bind(lease.as_secs_f64())
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(ParkedEvent {
                    provider: row.try_get("provider")?,
                    event_id: row.try_get("event_id")?,
                    order_no: row.try_get("order_no")?,
                    body: row.try_get("body")?,
                    reason: row.try_get("kind")?,
                    received_at: row.try_get("received_at")?,
                })
            })
            .collect()
    }

    /// Ends the wait of a parked event that will never take effect, with the reason.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn set_parked_outcome(
        &self,
        provider: &str,
        event_id: &str,
        outcome: &str,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(
            "UPDATE orders.payment_events SET outcome = $3 \
             WHERE provider = $1 AND event_id = $2 AND applied_at IS NULL",
        )
        .bind(provider)
        .bind(event_id)
        .bind(outcome)
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
