use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use common::pipeline::StoreError;
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row as _};
use uuid::Uuid;

use super::{Store, meaning, status_of};
use crate::domain::Status;

const SUMMARY: &str = "SELECT id, consumer_group, event_id, event_id_derived, origin_topic, tag, \
                       order_no, status, status_reason, status_by, status_at, cause, attempts, \
                       worker, worker_version, died_at, deaths, archived_at, \
                       octet_length(body) AS body_bytes";

/// Which dead letters are asked for; the newest come first.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub group: Option<String>,
    pub status: Option<Status>,
    pub order_no: Option<String>,
    /// The last one of the page before.
    pub after: Option<Uuid>,
    pub limit: i64,
}

/// A dead letter in a list: all but body, properties and history.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    pub id: Uuid,
    pub group: String,
    pub event_id: Uuid,
    pub derived: bool,
    pub origin_topic: Option<String>,
    pub tag: String,
    pub order_no: Option<String>,
    pub status: Status,
    pub status_reason: Option<String>,
    pub status_by: Option<String>,
    pub status_at: DateTime<Utc>,
    pub cause: String,
    pub attempts: i32,
    pub worker: Option<String>,
    pub worker_version: Option<String>,
    pub died_at: DateTime<Utc>,
    pub deaths: i32,
    pub archived_at: DateTime<Utc>,
    pub body_bytes: i32,
}

/// Everything about one dead letter.
#[derive(Debug, Clone, PartialEq)]
pub struct Full {
    pub summary: Summary,
    pub key: String,
    pub body: Vec<u8>,
    pub properties: BTreeMap<String, String>,
    /// Oldest first.
    pub deaths: Vec<PastDeath>,
    /// Oldest first.
    pub replays: Vec<PastReplay>,
}

/// One death, and what the broker knew about it.
#[derive(Debug, Clone, PartialEq)]
pub struct PastDeath {
    pub replay_id: Option<Uuid>,
    pub attempt: i32,
    pub cause: String,
    pub causes: String,
    pub worker: Option<String>,
    pub worker_version: Option<String>,
    pub message_id: String,
    pub broker: String,
    pub queue: i32,
    pub offset: i64,
    pub reconsume_times: i32,
    pub born_at: DateTime<Utc>,
    pub stored_at: DateTime<Utc>,
    pub archived_at: DateTime<Utc>,
}

/// One replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastReplay {
    pub replay_id: Uuid,
    pub requested_by: String,
    pub requested_at: DateTime<Utc>,
    /// `sent`, `failed`, or none yet.
    pub outcome: Option<String>,
    pub reason: Option<String>,
    pub outcome_at: Option<DateTime<Utc>>,
}

impl Store {
    /// Lists dead letters, the newest first.
    ///
    /// # Errors
    /// The database is away.
    pub async fn list(&self, filter: &Filter) -> Result<Vec<Summary>, StoreError> {
        let mut query = QueryBuilder::<Postgres>::new(SUMMARY);
        query.push(" FROM dlq.dead_letters WHERE true");
        if let Some(group) = &filter.group {
            query.push(" AND consumer_group = ").push_bind(group);
        }
        if let Some(status) = filter.status {
            query.push(" AND status = ").push_bind(status.as_str());
        }
        if let Some(order_no) = &filter.order_no {
            query.push(" AND left(order_no, 128) = left(").push_bind(order_no).push(", 128)");
            query.push(" AND order_no = ").push_bind(order_no);
        }
        if let Some(after) = filter.after {
            query.push(" AND id < ").push_bind(after);
        }
        query.push(" ORDER BY id DESC LIMIT ").push_bind(filter.limit);
        let rows = query.build().fetch_all(&self.pool).await.map_err(meaning)?;
        rows.iter().map(summary).collect::<Result<_, _>>().map_err(meaning)
    }

    /// Everything about one dead letter, if there is one.
    ///
    /// # Errors
    /// The database is away.
    pub async fn find(&self, id: Uuid) -> Result<Option<Full>, StoreError> {
        let mut query = QueryBuilder::<Postgres>::new(SUMMARY);
        query.push(", message_key, body, properties FROM dlq.dead_letters WHERE id = ");
        let row = query.push_bind(id).build().fetch_optional(&self.pool).await.map_err(meaning)?;
        let Some(row) = row else { return Ok(None) };
        let (deaths, replays) = (self.deaths(id).await?, self.replays(id).await?);
        full(&row, deaths, replays).map(Some).map_err(meaning)
    }

    async fn deaths(&self, id: Uuid) -> Result<Vec<PastDeath>, StoreError> {
        let rows = sqlx::query(
            "SELECT replay_id, attempt, cause, causes, worker, worker_version, message_id, \
               broker, queue, queue_offset, reconsume_times, born_at, stored_at, archived_at \
             FROM dlq.attempts WHERE dead_letter_id = $1 ORDER BY archived_at, replay_id, attempt",
        )
        .bind(id)
        .fetch_all(&self.pool)
        .await
        .map_err(meaning)?;
        rows.iter().map(past_death).collect::<Result<_, _>>().map_err(meaning)
    }

    async fn replays(&self, id: Uuid) -> Result<Vec<PastReplay>, StoreError> {
        let rows = sqlx::query(
            "SELECT replay_id, requested_by, requested_at, outcome, reason, outcome_at \
             FROM dlq.replay_items JOIN dlq.replays USING (replay_id) \
             WHERE dead_letter_id = $1 ORDER BY replay_id",
        )
        .bind(id)
        .fetch_all(&self.pool)
        .await
        .map_err(meaning)?;
        rows.iter().map(past_replay).collect::<Result<_, _>>().map_err(meaning)
    }
}

fn summary(row: &PgRow) -> Result<Summary, sqlx::Error> {
    Ok(Summary {
        id: row.try_get("id")?,
        group: row.try_get("consumer_group")?,
        event_id: row.try_get("event_id")?,
        derived: row.try_get("event_id_derived")?,
        origin_topic: row.try_get("origin_topic")?,
        tag: row.try_get("tag")?,
        order_no: row.try_get("order_no")?,
        status: status_of(row.try_get("status")?)?,
        status_reason: row.try_get("status_reason")?,
        status_by: row.try_get("status_by")?,
        status_at: row.try_get("status_at")?,
        cause: row.try_get("cause")?,
        attempts: row.try_get("attempts")?,
        worker: row.try_get("worker")?,
        worker_version: row.try_get("worker_version")?,
        died_at: row.try_get("died_at")?,
        deaths: row.try_get("deaths")?,
        archived_at: row.try_get("archived_at")?,
        body_bytes: row.try_get("body_bytes")?,
    })
}

fn full(
    row: &PgRow,
    deaths: Vec<PastDeath>,
    replays: Vec<PastReplay>,
) -> Result<Full, sqlx::Error> {
    let properties = serde_json::from_str(row.try_get("properties")?)
        .map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(Full {
        summary: summary(row)?,
        key: row.try_get("message_key")?,
        body: row.try_get("body")?,
        properties,
        deaths,
        replays,
    })
}

fn past_death(row: &PgRow) -> Result<PastDeath, sqlx::Error> {
    let replay_id: Uuid = row.try_get("replay_id")?;
    Ok(PastDeath {
        replay_id: Some(replay_id).filter(|id| !id.is_nil()),
        attempt: row.try_get("attempt")?,
        cause: row.try_get("cause")?,
        causes: row.try_get("causes")?,
        worker: row.try_get("worker")?,
        worker_version: row.try_get("worker_version")?,
        message_id: row.try_get("message_id")?,
        broker: row.try_get("broker")?,
        queue: row.try_get("queue")?,
        offset: row.try_get("queue_offset")?,
        reconsume_times: row.try_get("reconsume_times")?,
        born_at: row.try_get("born_at")?,
        stored_at: row.try_get("stored_at")?,
        archived_at: row.try_get("archived_at")?,
    })
}

fn past_replay(row: &PgRow) -> Result<PastReplay, sqlx::Error> {
    Ok(PastReplay {
        replay_id: row.try_get("replay_id")?,
        requested_by: row.try_get("requested_by")?,
        requested_at: row.try_get("requested_at")?,
        outcome: row.try_get("outcome")?,
        reason: row.try_get("reason")?,
        outcome_at: row.try_get("outcome_at")?,
    })
}
