use common::inbox::{Entry, Outcome};
use common::pipeline::{Recorded, StoreError};
use common::postgres::transact;
use contracts::SessionId;

use super::{Store, fault};

/// A session's `SALE_CHANGED`, as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaleRow {
    pub session_id: SessionId,
    pub version: i64,
    pub body: Vec<u8>,
}

impl Store {
    /// Keeps the newest version of each session, and records the events in the inbox.
    ///
    /// # Errors
    /// [`StoreError::Away`] or [`StoreError::Data`]; then nothing is written.
    pub async fn store_sales(
        &self,
        group: &str,
        records: &[Recorded<SaleRow>],
    ) -> Result<(), StoreError> {
        // Of one session only the newest: a set-based upsert may touch a row once.
        let mut newest: Vec<&Recorded<SaleRow>> = records.iter().collect();
        newest.sort_by_key(|record| (record.record.session_id, -record.record.version));
        newest.dedup_by_key(|record| record.record.session_id);
        let sessions: Vec<i64> =
            newest.iter().map(|record| record.record.session_id.get()).collect();
        let versions: Vec<i64> = newest.iter().map(|record| record.record.version).collect();
        let bodies: Vec<Vec<u8>> = newest.iter().map(|record| record.record.body.clone()).collect();
        let entries: Vec<Entry> = records
            .iter()
            .map(|record| Entry {
                event_id: record.event_id,
                key: record.record.session_id.to_string().into(),
                outcome: Outcome::Applied,
            })
            .collect();
        let (inbox, group) = (self.inbox.clone(), group.to_owned());
        transact(&self.pool, move |connection| {
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO orders.sale_sessions AS s (session_id, version, body) \
                     SELECT t.* FROM unnest($1::int8[], $2::int8[], $3::bytea[]) AS t \
                     ON CONFLICT (session_id) DO UPDATE SET version = excluded.version, \
                       body = excluded.body, updated_at = now() \
                     WHERE s.version < excluded.version",
                )
                .bind(sessions)
                .bind(versions)
                .bind(bodies)
                .execute(&mut *connection)
                .await?;
                let entries: Vec<_> = entries.iter().collect();
                inbox.absorb(connection, &group, &entries).await.map(drop)
            })
        })
        .await
        .map_err(|error| fault(&error))
    }

    /// The messages of sessions that are newer than what the caller has.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn newer_sales(
        &self,
        known: &[(SessionId, i64)],
    ) -> Result<Vec<Vec<u8>>, sqlx::Error> {
        sqlx::query_scalar(
            "SELECT s.body FROM orders.sale_sessions s \
             LEFT JOIN unnest($1::int8[], $2::int8[]) AS k(session_id, version) \
               ON k.session_id = s.session_id \
             WHERE k.version IS NULL OR k.version < s.version",
        )
        .bind(known.iter().map(|(session, _)| session.get()).collect::<Vec<_>>())
        .bind(known.iter().map(|(_, version)| *version).collect::<Vec<_>>())
        .fetch_all(&self.pool)
        .await
    }
}
