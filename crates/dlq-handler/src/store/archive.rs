use std::sync::Arc;

use common::ids;
use common::pipeline::StoreError;
use common::postgres::transact;
use futures::FutureExt as _;
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use super::{Store, meaning, status_of};
use crate::domain::{DeadLetter, Death, Found, Status};

/// What the archive did with a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Archived {
    /// It was not known.
    New { id: Uuid },
    /// It was known, but not this death of it.
    Again { id: Uuid },
    /// The same death was delivered or published once more.
    Known,
}

impl Store {
    /// Archives all, in one transaction; answers for each in the same order.
    ///
    /// # Errors
    /// The database is away, or refuses a row.
    pub async fn archive(
        &self,
        group: Arc<str>,
        letters: Vec<Arc<DeadLetter>>,
    ) -> Result<Vec<Archived>, StoreError> {
        transact(&self.pool, move |connection| {
            async move {
                let mut archived = vec![Archived::Known; letters.len()];
                // In one order, so that two processes don't wait for each other.
                let mut order: Vec<usize> = (0..letters.len()).collect();
                order.sort_by_key(|&index| (letters[index].event_id, letters[index].content_hash));
                for index in order {
                    archived[index] = archive_one(connection, &group, &letters[index]).await?;
                }
                Ok(archived)
            }
            .boxed()
        })
        .await
        .map_err(meaning)
    }
}

async fn archive_one(
    connection: &mut PgConnection,
    group: &str,
    letter: &DeadLetter,
) -> Result<Archived, sqlx::Error> {
    let id = ids::event_id();
    if insert_letter(connection, group, id, letter).await? {
        insert_death(connection, id, &letter.death).await?;
        return Ok(Archived::New { id });
    }
    let known = sqlx::query(
        "SELECT id, status, last_replay_id FROM dlq.dead_letters \
         WHERE consumer_group = $1 AND event_id = $2 AND content_hash = $3 FOR UPDATE",
    )
    .bind(group)
    .bind(letter.event_id)
    .bind(letter.content_hash)
    .fetch_one(&mut *connection)
    .await?;
    let id: Uuid = known.try_get("id")?;
    if !insert_death(connection, id, &letter.death).await? {
        return Ok(Archived::Known);
    }
    let found = match (letter.death.replay_id, known.try_get("last_replay_id")?) {
        (None, _) => Found::OnItsOwn,
        (Some(this), Some::<Uuid>(latest)) if this == latest => Found::InLatestReplay,
        (Some(_), _) => Found::InEarlierReplay,
    };
    let before = status_of(known.try_get("status")?)?;
    update_letter(connection, id, &letter.death, before, before.after_death(found)).await?;
    if let Some(replay_id) = letter.death.replay_id {
        end_replay(connection, id, replay_id, letter.death.causes.newest()).await?;
    }
    Ok(Archived::Again { id })
}

/// False when the message is known already.
async fn insert_letter(
    connection: &mut PgConnection,
    group: &str,
    id: Uuid,
    letter: &DeadLetter,
) -> Result<bool, sqlx::Error> {
    let properties =
        serde_json::to_string(&letter.properties).expect("a map of strings is always JSON");
    let death = &letter.death;
    let done = sqlx::query(
        "INSERT INTO dlq.dead_letters (id, consumer_group, event_id, event_id_derived, \
           content_hash, origin_topic, tag, message_key, order_no, body, properties, status, \
           cause, attempts, worker, worker_version, died_at, event_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) \
         ON CONFLICT (consumer_group, event_id, content_hash) DO NOTHING",
    )
    .bind(id)
    .bind(group)
    .bind(letter.event_id)
    .bind(letter.derived)
    .bind(letter.content_hash)
    .bind(&letter.origin_topic)
    .bind(&letter.tag)
    .bind(&letter.key)
    .bind(&letter.order_no)
    .bind(&*letter.body)
    .bind(properties)
    .bind(Status::Waiting.as_str())
    .bind(death.causes.newest())
    .bind(bounded(death.attempt))
    .bind(&death.worker)
    .bind(&death.worker_version)
    .bind(death.facts.stored_at)
    .bind(letter.event_at())
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// False when this death is known already.
async fn insert_death(
    connection: &mut PgConnection,
    id: Uuid,
    death: &Death,
) -> Result<bool, sqlx::Error> {
    let facts = &death.facts;
    let done = sqlx::query(
        "INSERT INTO dlq.attempts (dead_letter_id, replay_id, attempt, cause, causes, worker, \
           worker_version, message_id, broker, queue, queue_offset, reconsume_times, born_at, \
           stored_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) \
         ON CONFLICT DO NOTHING",
    )
    .bind(id)
    .bind(death.replay_id.unwrap_or_default())
    .bind(bounded(death.attempt))
    .bind(death.causes.newest())
    .bind(death.causes.all())
    .bind(&death.worker)
    .bind(&death.worker_version)
    .bind(&facts.message_id)
    .bind(&facts.broker)
    .bind(facts.queue)
    .bind(facts.offset)
    .bind(bounded(facts.reconsume_times))
    .bind(facts.born_at)
    .bind(facts.stored_at)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

async fn update_letter(
    connection: &mut PgConnection,
    id: Uuid,
    death: &Death,
    before: Status,
    after: Status,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE dlq.dead_letters SET deaths = deaths + 1, cause = $2, attempts = $3, \
           worker = $4, worker_version = $5, died_at = $6, status = $7, \
           status_at = CASE WHEN $8 THEN now() ELSE status_at END, \
           status_by = CASE WHEN $8 THEN NULL ELSE status_by END, \
           status_reason = CASE WHEN $8 THEN NULL ELSE status_reason END \
         WHERE id = $1",
    )
    .bind(id)
    .bind(death.causes.newest())
    .bind(bounded(death.attempt))
    .bind(&death.worker)
    .bind(&death.worker_version)
    .bind(death.facts.stored_at)
    .bind(after.as_str())
    .bind(after != before)
    .execute(connection)
    .await?;
    Ok(())
}

/// The replay ended with a death.
async fn end_replay(
    connection: &mut PgConnection,
    id: Uuid,
    replay_id: Uuid,
    cause: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE dlq.replay_items SET outcome = 'failed', reason = $3, outcome_at = now() \
         WHERE replay_id = $1 AND dead_letter_id = $2",
    )
    .bind(replay_id)
    .bind(id)
    .bind(cause)
    .execute(connection)
    .await?;
    Ok(())
}

/// A count that another service wrote may be any; PostgreSQL's integer has a sign.
fn bounded(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
