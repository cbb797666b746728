use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use common::pipeline::StoreError;
use contracts::{Channel, NotificationId, UserId};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::{Store, meaning};
use crate::domain::{Facts, Notification};

const CLOCK: i32 = 0;
const NOTIFICATION: i32 = 1;
const KNOWN: i32 = 2;
const SUPPRESSION: i32 = 3;

/// One statement, one snapshot. What kind a row is says its first column.
const LOAD: &str = "\
SELECT 0 AS kind, now() AS time, NULL::text AS name, NULL::text AS status, \
       NULL::int8 AS number, NULL::int4 AS attempt, NULL::uuid AS event_id \
UNION ALL \
SELECT 1, valid_until, notification_id, status, version, attempt, NULL \
FROM notify.notifications WHERE notification_id = ANY ($1::text[]) \
UNION ALL \
SELECT 2, NULL, NULL, NULL, NULL, NULL, event_id \
FROM notify.inbox WHERE consumer_group = $2 AND event_id = ANY ($3::uuid[]) \
UNION ALL \
SELECT 3, NULL, channel, NULL, user_id, NULL, NULL \
FROM notify.suppressions WHERE user_id = ANY ($4::int8[])";

/// What a batch is decided on.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) notifications: HashMap<NotificationId, Notification>,
    pub(crate) known: HashSet<Uuid>,
    pub(crate) facts: Facts,
}

impl Store {
    /// Reads the notifications, which events `group` knows, and what its `users` don't want.
    pub(crate) async fn load(
        &self,
        group: &str,
        ids: &[&NotificationId],
        users: &[UserId],
        events: &[Uuid],
    ) -> Result<Snapshot, StoreError> {
        let rows = sqlx::query(LOAD)
            .bind(ids.iter().map(|id| id.as_str()).collect::<Vec<_>>())
            .bind(group)
            .bind(events)
            .bind(users.iter().map(|user| user.get()).collect::<Vec<_>>())
            .fetch_all(&self.pool)
            .await
            .map_err(meaning)?;
        read(&rows).map_err(meaning)
    }
}

fn read(rows: &[PgRow]) -> Result<Snapshot, sqlx::Error> {
    let mut snapshot = Snapshot {
        notifications: HashMap::new(),
        known: HashSet::new(),
        facts: Facts { now: DateTime::UNIX_EPOCH, suppressed: HashSet::new() },
    };
    for row in rows {
        match row.try_get("kind")? {
            CLOCK => snapshot.facts.now = row.try_get("time")?,
            NOTIFICATION => {
                let (id, notification) = notification(row)?;
                snapshot.notifications.insert(id, notification);
            }
            KNOWN => {
                snapshot.known.insert(row.try_get("event_id")?);
            }
            SUPPRESSION => {
                let channel: Channel = parse(row, "name")?;
                let user = UserId(row.try_get("number")?);
                snapshot.facts.suppressed.insert((user, channel));
            }
            other => return Err(sqlx::Error::Decode(format!("kind {other}").into())),
        }
    }
    Ok(snapshot)
}

fn notification(row: &PgRow) -> Result<(NotificationId, Notification), sqlx::Error> {
    let id = parse(row, "name")?;
    let notification = Notification {
        version: row.try_get("number")?,
        status: parse(row, "status")?,
        attempt: row.try_get::<i32, _>("attempt")?.unsigned_abs(),
        valid_until: row.try_get::<Option<DateTime<Utc>>, _>("time")?,
        last_error: None,
        request: None,
    };
    Ok((id, notification))
}

fn parse<T: std::str::FromStr>(row: &PgRow, column: &str) -> Result<T, sqlx::Error> {
    let text: &str = row.try_get(column)?;
    let problem = || sqlx::Error::Decode(format!("{column}: {text:?} is unknown here").into());
    text.parse().map_err(|_| problem())
}
