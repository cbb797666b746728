use common::pipeline::StoreError;
use contracts::Channel;
use sqlx::Row as _;

use super::{Store, meaning};

const CLAIM: &str = "\
UPDATE notify.calls AS c SET claims = c.claims + 1, \
    lease_until = now() + $3::float8 * interval '1 second' * power(2, least(c.claims, 6)) \
FROM (SELECT notification_id FROM notify.calls \
      WHERE channel = $1 AND lease_until < now() \
      ORDER BY lease_until LIMIT $2 FOR UPDATE SKIP LOCKED) AS due, notify.notifications AS n \
WHERE c.notification_id = due.notification_id AND n.notification_id = due.notification_id \
RETURNING c.notification_id, c.attempt, n.body";

/// A call that nobody else makes until its lease has run out.
pub(crate) struct Claimed {
    pub(crate) id: String,
    pub(crate) attempt: u32,
    /// The message as it came.
    pub(crate) body: Vec<u8>,
}

impl Store {
    /// Claims up to `limit` calls of `channel` whose lease has run out: for the lease the first
    /// time, twice as long each time after, up to 64 times.
    pub(crate) async fn claim(
        &self,
        channel: Channel,
        limit: i64,
    ) -> Result<Vec<Claimed>, StoreError> {
        let rows = sqlx::query(CLAIM)
            .bind(channel.as_str())
            .bind(limit)
            .bind(self.call_lease.as_secs_f64())
            .fetch_all(&self.pool)
            .await
            .map_err(meaning)?;
        let read = |row: &sqlx::postgres::PgRow| {
            Ok(Claimed {
                id: row.try_get("notification_id")?,
                attempt: row.try_get::<i32, _>("attempt")?.unsigned_abs(),
                body: row.try_get::<Option<Vec<u8>>, _>("body")?.unwrap_or_default(),
            })
        };
        rows.iter().map(read).collect::<Result<_, _>>().map_err(meaning)
    }
}
