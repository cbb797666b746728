use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};
use uuid::Uuid;

use super::Row;
use crate::bus::Destination;
use crate::postgres::{Bind, Pool, Whole};

const TO_TOPIC: i16 = 0;
const TO_RETRY: i16 = 1;
const TO_DEAD: i16 = 2;

const COLUMNS: &str = "\
    batch_id, event_id, session_id, order_no, destination, topic, consumer_group, tag, body, \
    aggregate_version, occurred_at, causation_id, traceparent, properties";

/// One worker's outbox tables.
#[derive(Debug, Clone)]
pub struct Outbox {
    insert: Arc<str>,
    /// For rows that are [`plain`], which nearly all are: a third fewer columns to take apart.
    insert_plain: Arc<str>,
    insert_batches: Arc<str>,
    claim: Arc<str>,
    mark_sent: Arc<str>,
    mark_dead: Arc<str>,
    purge: Arc<str>,
    history: Arc<str>,
}

/// The rows that one transaction wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    pub id: Uuid,
    /// How many rows it has in the table.
    pub events: usize,
}

/// What the sweeper has claimed: batches, and those of their rows that are not refused. A batch
/// has none when the process died before it could mark that all of them are.
#[derive(Debug, Clone, Default)]
pub struct Claimed {
    /// Each with how long it is leased.
    pub batches: Vec<(Batch, Duration)>,
    pub rows: Vec<Row>,
}

/// A row and when it was published, as the order's history shows it.
#[derive(Debug, Clone)]
pub struct Past {
    pub row: Row,
    pub sent_at: Option<DateTime<Utc>>,
}

impl Outbox {
    /// The tables `<schema>.outbox` and `<schema>.outbox_batches`.
    pub fn new(schema: &'static str) -> Self {
        Self {
            insert: format!(
                "INSERT INTO {schema}.outbox ({COLUMNS}) \
                 SELECT unnest($1::uuid[]), unnest($2::uuid[]), unnest($3::int8[]), \
                   unnest($4::text[]), unnest($5::int2[]), unnest($6::text[]), \
                   unnest($7::text[]), unnest($8::text[]), unnest($9::bytea[]), \
                   unnest($10::int8[]), unnest($11::timestamptz[]), unnest($12::uuid[]), \
                   unnest($13::text[]), unnest($14::text[])"
            )
            .into(),
            insert_plain: format!(
                "INSERT INTO {schema}.outbox (batch_id, event_id, session_id, order_no, \
                   destination, topic, tag, body, aggregate_version, occurred_at, causation_id) \
                 SELECT $1::uuid, unnest($2::uuid[]), unnest($3::int8[]), unnest($4::text[]), \
                   {TO_TOPIC}::int2, unnest($5::text[]), unnest($6::text[]), unnest($7::bytea[]), \
                   unnest($8::int8[]), unnest($9::timestamptz[]), unnest($10::uuid[])"
            )
            .into(),
            insert_batches: format!(
                "INSERT INTO {schema}.outbox_batches (batch_id, events, lease_until) \
                 SELECT unnest($1::uuid[]), unnest($2::int4[]), \
                   now() + $3::float8 * interval '1 second'"
            )
            .into(),
            // Batches until there are enough rows: the one that passes the limit is the last.
            claim: format!(
                "WITH due AS ( \
                   SELECT batch_id FROM ( \
                     SELECT batch_id, sum(events) OVER (ORDER BY lease_until, batch_id) - events \
                       AS before \
                     FROM (SELECT batch_id, lease_until, events FROM {schema}.outbox_batches \
                           WHERE sent_at IS NULL AND lease_until < now() \
                           ORDER BY lease_until LIMIT $1 FOR UPDATE SKIP LOCKED) AS locked) AS sums \
                   WHERE before < $1), \
                 claimed AS ( \
                   UPDATE {schema}.outbox_batches AS b SET attempts = b.attempts + 1, \
                     lease_until = now() + $2::float8 * interval '1 second' \
                       * power(2, least(b.attempts, 6)) \
                   FROM due WHERE b.batch_id = due.batch_id \
                   RETURNING b.batch_id, b.events, \
                     extract(epoch FROM b.lease_until - now())::float8 AS lease_s) \
                 SELECT c.batch_id, c.events, c.lease_s, o.event_id, o.session_id, o.order_no, \
                   o.destination, o.topic, o.consumer_group, o.tag, o.body, o.aggregate_version, \
                   o.occurred_at, o.causation_id, o.traceparent, o.properties \
                 FROM claimed AS c LEFT JOIN {schema}.outbox AS o \
                   ON o.batch_id = c.batch_id AND o.dead_reason IS NULL \
                 ORDER BY c.batch_id, o.event_id"
            )
            .into(),
            mark_sent: format!(
                "UPDATE {schema}.outbox_batches AS b SET sent_at = now() \
                 WHERE b.batch_id = ANY ($1::uuid[]) \
                   AND b.events = ($2::int4[])[array_position($1::uuid[], b.batch_id)]"
            )
            .into(),
            mark_dead: format!(
                "UPDATE {schema}.outbox SET dead_reason = $3 \
                 WHERE batch_id = $1 AND event_id = $2"
            )
            .into(),
            purge: format!(
                "WITH old AS ( \
                   SELECT batch_id FROM ( \
                     SELECT batch_id, sum(events) OVER (ORDER BY batch_id) - events AS before \
                     FROM (SELECT batch_id, events FROM {schema}.outbox_batches \
                           WHERE batch_id < $1 AND sent_at IS NOT NULL \
                           ORDER BY batch_id LIMIT $2 FOR UPDATE SKIP LOCKED) AS locked) AS sums \
                   WHERE before < $2), \
                 gone AS ( \
                   DELETE FROM {schema}.outbox AS o USING old \
                   WHERE o.batch_id = old.batch_id AND o.dead_reason IS NULL) \
                 DELETE FROM {schema}.outbox_batches AS b USING old \
                 WHERE b.batch_id = old.batch_id RETURNING b.events"
            )
            .into(),
            history: format!(
                "SELECT o.*, b.sent_at \
                 FROM (SELECT {COLUMNS}, dead_reason FROM {schema}.outbox WHERE order_no = $1 \
                       ORDER BY aggregate_version, event_id LIMIT $2) AS o \
                 LEFT JOIN {schema}.outbox_batches AS b \
                   ON b.batch_id = o.batch_id AND o.dead_reason IS NULL \
                 ORDER BY o.aggregate_version, o.event_id"
            )
            .into(),
        }
    }

    /// Inserts the rows inside the caller's transaction, their batches leased to the caller for
    /// `lease`.
    ///
    /// # Errors
    /// What PostgreSQL says; the caller rolls back.
    pub async fn insert(
        &self,
        connection: &mut PgConnection,
        rows: &[&Row],
        lease: Duration,
    ) -> Result<(), sqlx::Error> {
        if rows.is_empty() {
            return Ok(());
        }
        let insert = sqlx::query(AssertSqlSafe(self.insert_of(rows).clone()));
        bind_rows(insert, rows).execute(&mut *connection).await?;
        let insert = sqlx::query(AssertSqlSafe(self.insert_batches.clone()));
        bind_batches(insert, &batches_of(rows.iter().copied()), lease).execute(connection).await?;
        Ok(())
    }

    /// As [`Outbox::insert`], as parts of a statement.
    pub fn insert_with(&self, whole: &mut Whole, rows: &[&Row], lease: Duration) {
        if !rows.is_empty() {
            let _ = bind_rows(whole.part("said", self.insert_of(rows)), rows);
            let batches = batches_of(rows.iter().copied());
            let _ = bind_batches(whole.part("batches", &self.insert_batches), &batches, lease);
        }
    }

    fn insert_of(&self, rows: &[&Row]) -> &Arc<str> {
        if plain(rows).is_some() { &self.insert_plain } else { &self.insert }
    }

    /// Claims batches whose lease has run out, until they have `limit` rows, and leases them to
    /// the caller: for `lease` the first time, twice as long each time after, up to 64 times.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn claim(
        &self,
        pool: &Pool,
        limit: i64,
        lease: Duration,
    ) -> Result<Claimed, sqlx::Error> {
        let found = sqlx::query(AssertSqlSafe(self.claim.clone()))
            .bind(limit)
            .bind(lease.as_secs_f64())
            .fetch_all(pool)
            .await?;
        let mut claimed = Claimed::default();
        for row in &found {
            let id: Uuid = row.try_get("batch_id")?;
            if claimed.batches.last().is_none_or(|(batch, _)| batch.id != id) {
                let events: i32 = row.try_get("events")?;
                let events = usize::try_from(events).unwrap_or_default();
                let lease = Duration::try_from_secs_f64(row.try_get("lease_s")?);
                claimed.batches.push((Batch { id, events }, lease.unwrap_or_default()));
            }
            if row.try_get::<Option<Uuid>, _>("event_id")?.is_some() {
                claimed.rows.push(read(row)?);
            }
        }
        Ok(claimed)
    }

    /// Marks batches of which the broker has taken or refused each row.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn mark_sent(&self, pool: &Pool, batches: &[Batch]) -> Result<(), sqlx::Error> {
        sqlx::query(AssertSqlSafe(self.mark_sent.clone()))
            .bind(batches.iter().map(|batch| batch.id).collect::<Vec<_>>())
            .bind(batches.iter().map(|batch| count(batch.events)).collect::<Vec<_>>())
            .execute(pool)
            .await?;
        Ok(())
    }

    /// Marks a row that the broker refuses for good; an operator decides about it.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn mark_dead(&self, pool: &Pool, row: &Row, reason: &str) -> Result<(), sqlx::Error> {
        sqlx::query(AssertSqlSafe(self.mark_dead.clone()))
            .bind(row.batch_id)
            .bind(row.event_id)
            .bind(reason)
            .execute(pool)
            .await?;
        Ok(())
    }

    /// Deletes published batches that are older than `before`, an id made at that time, until
    /// `limit` rows are gone; answers how many are. What is pending or refused is never deleted.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn purge(&self, pool: &Pool, before: Uuid, limit: i64) -> Result<i64, sqlx::Error> {
        let gone: Vec<i32> = sqlx::query_scalar(AssertSqlSafe(self.purge.clone()))
            .bind(before)
            .bind(limit)
            .fetch_all(pool)
            .await?;
        Ok(gone.into_iter().map(i64::from).sum())
    }

    /// The events about `key`, oldest first, at most `limit`.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn history(
        &self,
        pool: &Pool,
        key: &str,
        limit: i64,
    ) -> Result<Vec<Past>, sqlx::Error> {
        let rows = sqlx::query(AssertSqlSafe(self.history.clone()))
            .bind(key)
            .bind(limit)
            .fetch_all(pool)
            .await?;
        rows.iter()
            .map(|row| Ok(Past { row: read(row)?, sent_at: row.try_get("sent_at")? }))
            .collect()
    }
}

/// The batches of `rows`, each with how many of them are its own.
pub(super) fn batches_of<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Vec<Batch> {
    let mut events: BTreeMap<Uuid, usize> = BTreeMap::new();
    for row in rows {
        *events.entry(row.batch_id).or_default() += 1;
    }
    events.into_iter().map(|(id, events)| Batch { id, events }).collect()
}

fn bind_batches<B: Bind>(insert: B, batches: &[Batch], lease: Duration) -> B {
    insert
        .bind(batches.iter().map(|batch| batch.id).collect::<Vec<_>>())
        .bind(batches.iter().map(|batch| count(batch.events)).collect::<Vec<_>>())
        .bind(lease.as_secs_f64())
}

/// A transaction's rows are bounded far below this.
fn count(events: usize) -> i32 {
    i32::try_from(events).unwrap_or(i32::MAX)
}

/// The one batch of rows that go to topics and carry nothing but their envelopes; none where one of
/// them is otherwise.
fn plain(rows: &[&Row]) -> Option<Uuid> {
    let batch = rows.first()?.batch_id;
    let is_plain = |row: &&Row| {
        row.batch_id == batch
            && matches!(row.destination, Destination::Topic(_))
            && row.traceparent.is_none()
            && row.properties.is_empty()
    };
    rows.iter().all(is_plain).then_some(batch)
}

fn bind_rows<B: Bind>(insert: B, rows: &[&Row]) -> B {
    let targets: Vec<_> = rows.iter().map(|row| columns_of(&row.destination)).collect();
    if let Some(batch) = plain(rows) {
        return insert
            .bind(batch)
            .bind(rows.iter().map(|row| row.event_id).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.session_id).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| &*row.key).collect::<Vec<&str>>())
            .bind(targets.iter().map(|target| target.1).collect::<Vec<&str>>())
            .bind(rows.iter().map(|row| &*row.tag).collect::<Vec<&str>>())
            .bind(rows.iter().map(|row| &*row.body).collect::<Vec<&[u8]>>())
            .bind(rows.iter().map(|row| row.aggregate_version).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.occurred_at).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.causation_id).collect::<Vec<_>>());
    }
    let properties: Vec<Option<String>> = rows.iter().map(|row| properties_text(row)).collect();
    insert
        .bind(rows.iter().map(|row| row.batch_id).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.event_id).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.session_id).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| &*row.key).collect::<Vec<&str>>())
        .bind(targets.iter().map(|target| target.0).collect::<Vec<_>>())
        .bind(targets.iter().map(|target| target.1).collect::<Vec<&str>>())
        .bind(targets.iter().map(|target| target.2).collect::<Vec<Option<&str>>>())
        .bind(rows.iter().map(|row| &*row.tag).collect::<Vec<&str>>())
        .bind(rows.iter().map(|row| &*row.body).collect::<Vec<&[u8]>>())
        .bind(rows.iter().map(|row| row.aggregate_version).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.occurred_at).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.causation_id).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.traceparent.as_deref()).collect::<Vec<Option<&str>>>())
        .bind(properties)
}

fn columns_of(destination: &Destination) -> (i16, &str, Option<&str>) {
    match destination {
        Destination::Topic(topic) => (TO_TOPIC, topic, None),
        Destination::Retry { group, topic } => (TO_RETRY, topic, Some(group)),
        Destination::Dead { group, topic } => (TO_DEAD, topic, Some(group)),
    }
}

fn properties_text(row: &Row) -> Option<String> {
    if row.properties.is_empty() {
        return None;
    }
    Some(serde_json::to_string(&row.properties).expect("a map of strings is always JSON"))
}

fn read(row: &PgRow) -> Result<Row, sqlx::Error> {
    let topic: Arc<str> = row.try_get::<&str, _>("topic")?.into();
    let group: Option<&str> = row.try_get("consumer_group")?;
    let group: Arc<str> = group.unwrap_or_default().into();
    let destination = match row.try_get::<i16, _>("destination")? {
        TO_TOPIC => Destination::Topic(topic),
        TO_RETRY => Destination::Retry { group, topic },
        TO_DEAD => Destination::Dead { group, topic },
        other => return Err(sqlx::Error::Decode(format!("outbox destination {other}").into())),
    };
    let properties = match row.try_get::<Option<&str>, _>("properties")? {
        None => BTreeMap::new(),
        Some(text) => {
            serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into()))?
        }
    };
    Ok(Row {
        batch_id: row.try_get("batch_id")?,
        event_id: row.try_get("event_id")?,
        session_id: row.try_get("session_id")?,
        key: row.try_get::<&str, _>("order_no")?.into(),
        destination,
        tag: row.try_get::<&str, _>("tag")?.into(),
        body: Bytes::from(row.try_get::<Vec<u8>, _>("body")?),
        aggregate_version: row.try_get("aggregate_version")?,
        occurred_at: row.try_get("occurred_at")?,
        causation_id: row.try_get("causation_id")?,
        traceparent: row.try_get::<Option<&str>, _>("traceparent")?.map(Into::into),
        properties,
    })
}
