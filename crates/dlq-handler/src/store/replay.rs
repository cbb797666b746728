use std::collections::BTreeMap;

use bytes::Bytes;
use common::bus::Destination;
use common::pipeline::StoreError;
use common::postgres::transact;
use common::{ids, outbox};
use futures::FutureExt as _;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use super::discard::set_status;
use super::{Answer, Store, meaning, status_of};
use crate::domain::{Refusal, Status, replayed_properties};

/// Which dead letter is to be replayed, and who says so.
#[derive(Debug, Clone)]
pub struct Requested {
    pub dead_letter_id: Uuid,
    /// The token's name.
    pub by: String,
    /// Older events are refused, in hours.
    pub max_age_hours: i64,
}

/// A replay that is committed; the row is leased to the caller's relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    pub replay_id: Uuid,
    pub group: String,
    pub row: outbox::Row,
}

impl Store {
    /// Starts a replay of one dead letter to its one group: the outbox row is written with it.
    ///
    /// # Errors
    /// The database is away.
    pub async fn replay(&self, requested: Requested) -> Result<Answer<Started>, StoreError> {
        let (outbox, lease) = (self.outbox.clone(), self.outbox_lease);
        transact(&self.pool, move |connection| {
            async move {
                let id = requested.dead_letter_id;
                let Some(letter) = locked(connection, id).await? else {
                    return Ok(Answer::NotFound);
                };
                let origin_topic: Option<String> = letter.try_get("origin_topic")?;
                let may = status_of(letter.try_get("status")?)?.may_replay(
                    origin_topic.as_deref(),
                    letter.try_get("age_hours")?,
                    requested.max_age_hours,
                );
                if let Err(refusal) = may {
                    refuse(connection, id, refusal, &requested.by).await?;
                    return Ok(Answer::Refused(refusal));
                }
                let replay_id = ids::event_id();
                let topic = origin_topic.unwrap_or_default();
                let started = started(&letter, replay_id, &topic)?;
                insert(connection, id, &started, &requested.by).await?;
                outbox.insert(connection, &[&started.row], lease).await?;
                Ok(Answer::Done(started))
            }
            .boxed()
        })
        .await
        .map_err(meaning)
    }
}

async fn locked(connection: &mut PgConnection, id: Uuid) -> Result<Option<PgRow>, sqlx::Error> {
    sqlx::query(
        "SELECT consumer_group, origin_topic, tag, message_key, body, properties, status, \
           event_at, floor(extract(epoch FROM now() - event_at) / 3600)::int8 AS age_hours \
         FROM dlq.dead_letters WHERE id = $1 FOR UPDATE",
    )
    .bind(id)
    .fetch_optional(connection)
    .await
}

/// What was refused as too old is never young again: the archive says so.
async fn refuse(
    connection: &mut PgConnection,
    id: Uuid,
    refusal: Refusal,
    by: &str,
) -> Result<(), sqlx::Error> {
    match refusal {
        Refusal::TooOld { .. } => {
            let reason = refusal.to_string();
            set_status(connection, id, Status::Refused, Some(&reason), Some(by)).await
        }
        Refusal::Status(_) | Refusal::OriginUnknown => Ok(()),
    }
}

/// The message as it was when it was first published, on its way to the one group alone.
fn started(letter: &PgRow, replay_id: Uuid, topic: &str) -> Result<Started, sqlx::Error> {
    let group: String = letter.try_get("consumer_group")?;
    let properties: BTreeMap<String, String> = serde_json::from_str(letter.try_get("properties")?)
        .map_err(|error| sqlx::Error::Decode(error.into()))?;
    let id = ids::event_id();
    let row = outbox::Row {
        batch_id: id,
        // The row's own id: the event's travels in the properties, if it has one.
        event_id: id,
        session_id: 0,
        key: letter.try_get::<&str, _>("message_key")?.into(),
        destination: Destination::Retry { group: group.as_str().into(), topic: topic.into() },
        tag: letter.try_get::<&str, _>("tag")?.into(),
        body: Bytes::from(letter.try_get::<Vec<u8>, _>("body")?),
        aggregate_version: 0,
        occurred_at: letter.try_get("event_at")?,
        causation_id: None,
        traceparent: None,
        properties: replayed_properties(&properties, replay_id),
    };
    Ok(Started { replay_id, group, row })
}

async fn insert(
    connection: &mut PgConnection,
    id: Uuid,
    started: &Started,
    by: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO dlq.replays (replay_id, requested_by) VALUES ($1, $2)")
        .bind(started.replay_id)
        .bind(by)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "INSERT INTO dlq.replay_items (replay_id, dead_letter_id, batch_id) VALUES ($1, $2, $3)",
    )
    .bind(started.replay_id)
    .bind(id)
    .bind(started.row.batch_id)
    .execute(&mut *connection)
    .await?;
    set_status(connection, id, Status::Replaying, None, Some(by)).await?;
    sqlx::query("UPDATE dlq.dead_letters SET last_replay_id = $2 WHERE id = $1")
        .bind(id)
        .bind(started.replay_id)
        .execute(connection)
        .await?;
    Ok(())
}
