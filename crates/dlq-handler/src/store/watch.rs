use common::pipeline::StoreError;
use sqlx::Row as _;

use super::{Store, meaning};

/// Replays whose sending is looked up at once at most.
const REPLAYS_MAX: i64 = 1_000;

impl Store {
    /// Records which replays the broker has by now, and which it refused for good; answers how
    /// many there were. A letter that died again meanwhile keeps that.
    ///
    /// # Errors
    /// The database is away.
    pub async fn record_sent_replays(&self) -> Result<u64, StoreError> {
        let done = sqlx::query(
            "WITH ended AS ( \
               SELECT i.replay_id, i.dead_letter_id, o.dead_reason, \
                 CASE WHEN o.dead_reason IS NULL THEN 'sent' ELSE 'failed' END AS outcome \
               FROM dlq.replay_items AS i JOIN dlq.outbox AS o ON o.batch_id = i.batch_id \
               JOIN dlq.outbox_batches AS b ON b.batch_id = i.batch_id \
               WHERE i.outcome IS NULL AND b.sent_at IS NOT NULL \
               LIMIT $1), \
             letters AS ( \
               SELECT d.id FROM dlq.dead_letters AS d JOIN ended ON d.id = ended.dead_letter_id \
               WHERE d.status = 'replaying' AND d.last_replay_id = ended.replay_id \
               ORDER BY d.id FOR UPDATE OF d), \
             changed AS ( \
               UPDATE dlq.dead_letters AS d SET status_at = now(), \
                 status_reason = ended.dead_reason, \
                 status = CASE ended.outcome WHEN 'sent' THEN 'replayed' \
                                             ELSE 'replayed-failed' END \
               FROM ended, letters \
               WHERE d.id = letters.id AND d.id = ended.dead_letter_id \
                 AND d.last_replay_id = ended.replay_id) \
             UPDATE dlq.replay_items AS i SET outcome = ended.outcome, \
               reason = ended.dead_reason, outcome_at = now() \
             FROM ended \
             WHERE i.replay_id = ended.replay_id AND i.dead_letter_id = ended.dead_letter_id \
               AND i.outcome IS NULL",
        )
        .bind(REPLAYS_MAX)
        .execute(&self.pool)
        .await
        .map_err(meaning)?;
        Ok(done.rows_affected())
    }

    /// How many dead letters wait for an operator, by consumer group.
    ///
    /// # Errors
    /// The database is away.
    pub async fn waiting(&self) -> Result<Vec<(String, i64)>, StoreError> {
        let rows = sqlx::query(
            "SELECT consumer_group, count(*) AS letters FROM dlq.dead_letters \
             WHERE status IN ('waiting', 'replayed-failed') GROUP BY consumer_group",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(meaning)?;
        rows.iter()
            .map(|row| Ok((row.try_get("consumer_group")?, row.try_get("letters")?)))
            .collect::<Result<_, sqlx::Error>>()
            .map_err(meaning)
    }
}
