//! Which events a consumer group has already taken: rows written in the deciding transaction.
//!
//! The key is (event id, consumer group). An event id stays the same through retry,
//! dead-lettering and replay, so a row here means: this event's effect is in the database.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use crate::postgres::{Bind, Pool, Whole};

/// How a transaction says that it must be rolled back, and its batch loaded again: an event of it
/// has taken effect meanwhile. No statement of a batch answers so, for none asks for one row.
const KNOWN: sqlx::Error = sqlx::Error::RowNotFound;

/// Whether a transaction was rolled back because an event of it has taken effect meanwhile.
pub fn is_known(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::RowNotFound)
}

/// What the event did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i16)]
pub enum Outcome {
    Applied = 1,
    Ignored = 2,
}

/// One row to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub event_id: Uuid,
    /// The aggregate's key, for people who look for "what happened to order X".
    pub key: Arc<str>,
    pub outcome: Outcome,
}

/// One worker's inbox table.
#[derive(Debug, Clone)]
pub struct Inbox {
    /// Fails where an entry is there already.
    add: Arc<str>,
    /// Leaves an entry that is there already as it is.
    insert: Arc<str>,
    purge: Arc<str>,
}

impl Inbox {
    /// The table `<schema>.inbox`.
    pub fn new(schema: &'static str) -> Self {
        let insert = format!(
            "INSERT INTO {schema}.inbox (consumer_group, event_id, order_no, outcome) \
             SELECT $1, unnest($2::uuid[]) AS e, unnest($3::text[]), unnest($4::int2[]) ORDER BY e"
        );
        Self {
            add: format!("{insert} RETURNING 1").into(),
            insert: format!("{insert} ON CONFLICT DO NOTHING RETURNING 1").into(),
            purge: format!(
                "DELETE FROM {schema}.inbox WHERE (event_id, consumer_group) IN ( \
                   SELECT event_id, consumer_group FROM {schema}.inbox \
                   WHERE event_id < $1 AND seen_at < now() - $2::float8 * interval '1 second' \
                   ORDER BY event_id, consumer_group LIMIT $3 FOR UPDATE SKIP LOCKED)"
            )
            .into(),
        }
    }

    /// Records the entries for `group`, inside the caller's transaction.
    ///
    /// # Errors
    /// What PostgreSQL says, or one that [`is_known`] when an entry is there already: its event took
    /// effect in a transaction that this one did not see when it loaded. The caller rolls back.
    pub async fn insert(
        &self,
        connection: &mut PgConnection,
        group: &str,
        entries: &[&Entry],
    ) -> Result<(), sqlx::Error> {
        let new = self.absorb(connection, group, entries).await?;
        if new < distinct(entries) as u64 { Err(KNOWN) } else { Ok(()) }
    }

    /// As [`Inbox::insert`], as a part of a statement, which fails when an entry is there already.
    pub fn insert_with(&self, whole: &mut Whole, group: &str, entries: &[&Entry]) {
        if entries.is_empty() {
            return;
        }
        let mut entries = entries.to_vec();
        entries.sort_unstable_by_key(|entry| entry.event_id);
        entries.dedup_by_key(|entry| entry.event_id);
        let _ = bound(whole.part("noted", &self.add), group, &entries);
        whole.expect_rows("noted", entries.len());
    }

    /// As [`Inbox::insert`], for effects that may happen twice: an entry that is there already is
    /// left as it is. Answers how many were new.
    ///
    /// # Errors
    /// What PostgreSQL says; the caller rolls back.
    pub async fn absorb(
        &self,
        connection: &mut PgConnection,
        group: &str,
        entries: &[&Entry],
    ) -> Result<u64, sqlx::Error> {
        if entries.is_empty() {
            return Ok(0);
        }
        let insert = sqlx::query(AssertSqlSafe(self.insert.clone()));
        let done = bound(insert, group, entries).execute(connection).await?;
        Ok(done.rows_affected())
    }

    /// Deletes up to `limit` rows that were written longer than `retention` ago; answers how many
    /// it deleted. `before` is an id made at that time: no entry of a later event is so old, and
    /// so only the older ones are looked at.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn purge(
        &self,
        pool: &Pool,
        before: Uuid,
        retention: Duration,
        limit: i64,
    ) -> Result<u64, sqlx::Error> {
        let done = sqlx::query(AssertSqlSafe(self.purge.clone()))
            .bind(before)
            .bind(retention.as_secs_f64())
            .bind(limit)
            .execute(pool)
            .await?;
        Ok(done.rows_affected())
    }
}

/// One event may be about two keys of a batch: another's mistake, not ours to repeat it for.
fn distinct(entries: &[&Entry]) -> usize {
    entries.iter().map(|entry| entry.event_id).collect::<HashSet<_>>().len()
}

fn bound<B: Bind>(insert: B, group: &str, entries: &[&Entry]) -> B {
    insert
        .bind(group)
        .bind(entries.iter().map(|entry| entry.event_id).collect::<Vec<_>>())
        .bind(entries.iter().map(|entry| &*entry.key).collect::<Vec<&str>>())
        .bind(entries.iter().map(|entry| entry.outcome as i16).collect::<Vec<_>>())
}
