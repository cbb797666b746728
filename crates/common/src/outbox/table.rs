use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Row as _};
use uuid::Uuid;

use super::Row;
use crate::bus::Destination;
use crate::postgres::{Bind, Whole};

const TO_TOPIC: i16 = 0;
const TO_RETRY: i16 = 1;
const TO_DEAD: i16 = 2;

const COLUMNS: &str = "event_id, session_id, order_no, destination, topic, consumer_group, tag, \
                       body, aggregate_version, occurred_at, causation_id, traceparent, properties";

/// When the oldest transaction of this role began that still runs; now when there is none.
const COMPLETE: &str = "\
    SELECT least(now(), min(xact_start)) FROM pg_stat_activity \
    WHERE datname = current_database() AND usename = current_user \
      AND pid <> pg_backend_pid()";

/// One worker's outbox table.
#[derive(Debug, Clone)]
pub struct Outbox {
    insert: Arc<str>,
    find_left: Arc<str>,
    raise_mark: Arc<str>,
    claim: Arc<str>,
    mark_sent: Arc<str>,
    mark_dead: Arc<str>,
    purge: Arc<str>,
    history: Arc<str>,
}

/// A row and when it was published, as the order's history shows it.
#[derive(Debug, Clone)]
pub struct Past {
    pub row: Row,
    pub sent_at: Option<DateTime<Utc>>,
}

impl Outbox {
    /// The table `<schema>.outbox`.
    pub fn new(schema: &'static str) -> Self {
        Self {
            insert: format!(
                "INSERT INTO {schema}.outbox ({COLUMNS}, lease_until) \
                 SELECT t.*, (SELECT now() + $14::float8 * interval '1 second') \
                 FROM unnest($1::uuid[], $2::int8[], $3::text[], $4::int2[], $5::text[], \
                   $6::text[], $7::text[], $8::bytea[], $9::int8[], $10::timestamptz[], \
                   $11::uuid[], $12::text[], $13::text[]) AS t"
            )
            .into(),
            find_left: format!(
                "SELECT min(lease_until) FROM {schema}.outbox \
                 WHERE lease_until > (SELECT low_water FROM {schema}.outbox_mark) \
                   AND lease_until <= $1 AND sent_at IS NULL AND dead_reason IS NULL"
            )
            .into(),
            raise_mark: format!(
                "UPDATE {schema}.outbox_mark SET low_water = $1 WHERE low_water < $1"
            )
            .into(),
            claim: format!(
                "UPDATE {schema}.outbox AS o SET attempts = o.attempts + 1, \
                   lease_until = now() + $2::float8 * interval '1 second' \
                     * least(power(2, o.attempts), 64) \
                 FROM (SELECT event_id FROM {schema}.outbox \
                       WHERE lease_until > (SELECT low_water FROM {schema}.outbox_mark) \
                         AND lease_until < now() AND sent_at IS NULL AND dead_reason IS NULL \
                       ORDER BY lease_until LIMIT $1 FOR UPDATE SKIP LOCKED) AS due \
                 WHERE o.event_id = due.event_id \
                 RETURNING o.event_id, o.session_id, o.order_no, o.destination, o.topic, \
                   o.consumer_group, o.tag, o.body, o.aggregate_version, o.occurred_at, \
                   o.causation_id, o.traceparent, o.properties"
            )
            .into(),
            mark_sent: format!(
                "UPDATE {schema}.outbox SET sent_at = now() \
                 WHERE event_id = ANY ($1::uuid[]) AND sent_at IS NULL"
            )
            .into(),
            mark_dead: format!("UPDATE {schema}.outbox SET dead_reason = $2 WHERE event_id = $1")
                .into(),
            purge: format!(
                "DELETE FROM {schema}.outbox WHERE event_id IN ( \
                   SELECT event_id FROM {schema}.outbox \
                   WHERE event_id < $1 AND sent_at IS NOT NULL \
                   ORDER BY event_id LIMIT $2 FOR UPDATE SKIP LOCKED)"
            )
            .into(),
            history: format!(
                "SELECT {COLUMNS}, sent_at FROM {schema}.outbox WHERE order_no = $1 \
                 ORDER BY aggregate_version, event_id LIMIT $2"
            )
            .into(),
        }
    }

    /// Inserts the rows inside the caller's transaction, leased to the caller for `lease`.
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
        let insert = sqlx::query(AssertSqlSafe(self.insert.clone()));
        bound(insert, rows, lease).execute(connection).await?;
        Ok(())
    }

    /// As [`Outbox::insert`], as a part of a statement.
    pub fn insert_with(&self, whole: &mut Whole, rows: &[&Row], lease: Duration) {
        if !rows.is_empty() {
            let _ = bound(whole.part("said", &self.insert), rows, lease);
        }
    }

    /// Whether rows are there whose lease has run out; what was read is not looked at again.
    ///
    /// A row shows when its transaction commits, and its lease began when that started: what is
    /// behind the oldest transaction that still runs is complete.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn has_left(&self, pool: &PgPool) -> Result<bool, sqlx::Error> {
        let complete: DateTime<Utc> = sqlx::query_scalar(COMPLETE).fetch_one(pool).await?;
        let left: Option<DateTime<Utc>> = sqlx::query_scalar(AssertSqlSafe(self.find_left.clone()))
            .bind(complete)
            .fetch_one(pool)
            .await?;
        let read_up_to = left.map_or(complete, |left| left - TimeDelta::microseconds(1));
        sqlx::query(AssertSqlSafe(self.raise_mark.clone())).bind(read_up_to).execute(pool).await?;
        Ok(left.is_some())
    }

    /// Claims up to `limit` rows whose lease has run out, and leases them to the caller: for
    /// `lease` the first time, twice as long each time after, up to 64 times.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn claim(
        &self,
        pool: &PgPool,
        limit: i64,
        lease: Duration,
    ) -> Result<Vec<Row>, sqlx::Error> {
        let rows = sqlx::query(AssertSqlSafe(self.claim.clone()))
            .bind(limit)
            .bind(lease.as_secs_f64())
            .fetch_all(pool)
            .await?;
        rows.iter().map(read).collect()
    }

    /// Marks the rows as published.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn mark_sent(&self, pool: &PgPool, ids: &[Uuid]) -> Result<(), sqlx::Error> {
        sqlx::query(AssertSqlSafe(self.mark_sent.clone())).bind(ids).execute(pool).await?;
        Ok(())
    }

    /// Marks a row that the broker refuses for good; an operator decides about it.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn mark_dead(
        &self,
        pool: &PgPool,
        id: Uuid,
        reason: &str,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(AssertSqlSafe(self.mark_dead.clone()))
            .bind(id)
            .bind(reason)
            .execute(pool)
            .await?;
        Ok(())
    }

    /// Deletes up to `limit` published rows whose event is older than `before`, an id made at
    /// that time; answers how many it deleted. What is pending is never deleted.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn purge(&self, pool: &PgPool, before: Uuid, limit: i64) -> Result<u64, sqlx::Error> {
        let done = sqlx::query(AssertSqlSafe(self.purge.clone()))
            .bind(before)
            .bind(limit)
            .execute(pool)
            .await?;
        Ok(done.rows_affected())
    }

    /// The events about `key`, oldest first, at most `limit`.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn history(
        &self,
        pool: &PgPool,
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

fn bound<B: Bind>(insert: B, rows: &[&Row], lease: Duration) -> B {
    let targets: Vec<_> = rows.iter().map(|row| columns_of(&row.destination)).collect();
    let properties: Vec<Option<String>> = rows.iter().map(|row| properties_text(row)).collect();
    insert
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
        .bind(lease.as_secs_f64())
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
