use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use common::pipeline::StoreError;
use common::postgres::{self, Bind, Whole};
use common::{inbox, outbox};
use contracts::{NotificationId, UserId};
use futures::FutureExt as _;
use sqlx::{PgConnection, Row as _};

use super::{Store, meaning};
use crate::domain::{Deliver, Notification, Request, Status};

/// Keys come sorted from the pipeline, and the hot pool's plan keeps the order: batches that
/// share rows lock them in one order. An update asks for the version twice: where the row is looked
/// up, and on what another transaction may have made of it since.
macro_rules! insert {
    ($end:literal) => {
        concat!(
            "INSERT INTO notify.notifications (notification_id, session_id, order_no, user_id, \
               channel, template, status, version, attempt, body, valid_until, last_error, \
               sent_at) \
             SELECT t.*, CASE WHEN t.status = 'SENT' THEN now() END \
             FROM (SELECT unnest($1::text[]), unnest($2::int8[]), unnest($3::text[]), \
               unnest($4::int8[]), unnest($5::text[]), unnest($6::text[]), \
               unnest($7::text[]) AS status, unnest($8::int8[]), unnest($9::int4[]), \
               unnest($10::bytea[]), unnest($11::timestamptz[]), unnest($12::text[])) AS t ",
            $end
        )
    };
}

/// Where a notification is there already, the statement fails.
const INSERT: &str = insert!("RETURNING 1");

/// Where a notification is there already, it is left as it is.
const INSERT_NEW: &str = insert!("ON CONFLICT DO NOTHING RETURNING notification_id");

const UPDATE: &str = "\
UPDATE notify.notifications AS n SET status = u.status, version = u.version, \
    attempt = u.attempt, valid_until = u.valid_until, last_error = u.last_error, \
    body = CASE WHEN u.status = 'PENDING' THEN coalesce(u.body, n.body) END, \
    sent_at = CASE WHEN u.status = 'SENT' THEN now() END \
FROM (SELECT t.*, l.ctid AS at FROM (SELECT unnest($1::text[]) AS id, unnest($2::int8[]) AS base, \
        unnest($3::text[]) AS status, unnest($4::int8[]) AS version, \
        unnest($5::int4[]) AS attempt, unnest($6::bytea[]) AS body, \
        unnest($7::timestamptz[]) AS valid_until, unnest($8::text[]) AS last_error \
      ORDER BY id) AS t, \
    LATERAL (SELECT o.ctid FROM notify.notifications AS o WHERE o.notification_id = t.id \
      AND o.version = t.base LIMIT 1) AS l) AS u \
WHERE n.ctid = u.at AND n.version = u.base RETURNING n.notification_id";

const CALL: &str = "\
INSERT INTO notify.calls (notification_id, channel, attempt, lease_until) \
SELECT id, channel, attempt, now() + wait_s * interval '1 second' \
FROM unnest($1::text[], $2::text[], $3::int4[], $4::float8[]) AS t (id, channel, attempt, wait_s) \
ON CONFLICT (notification_id) DO UPDATE \
SET attempt = excluded.attempt, lease_until = excluded.lease_until, claims = 0";

const END_CALL: &str = "\
DELETE FROM notify.calls WHERE notification_id = ANY ($1::text[])";

/// One notification's change.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    pub(crate) id: NotificationId,
    /// The version that it must still have; `None`: there must be no row.
    pub(crate) base: Option<i64>,
    /// `None` when only the inbox entries are written.
    pub(crate) next: Option<Notification>,
    /// The delivery to be made, when `next` is PENDING.
    pub(crate) deliver: Option<Deliver>,
    pub(crate) entries: Vec<inbox::Entry>,
    pub(crate) rows: Vec<Arc<outbox::Row>>,
}

impl Store {
    /// Writes all in one transaction; answers for each whether its compare-and-set hit. Of one
    /// that missed, nothing is written.
    pub(crate) async fn apply(
        &self,
        group: &str,
        writes: Vec<Write>,
    ) -> Result<Vec<bool>, StoreError> {
        let count = writes.len();
        if self.whole(group, &writes).run(&self.pool).await.map_err(meaning)? {
            return Ok(vec![true; count]);
        }
        let (this, group) = (self.clone(), group.to_owned());
        let written = postgres::transact(&self.pool, move |connection| {
            async move { this.write(connection, &group, &writes).await }.boxed()
        })
        .await;
        match written {
            Err(error) if inbox::is_known(&error) => Ok(vec![false; count]),
            written => written.map_err(meaning),
        }
    }

    /// All of it in one statement, expecting that everything is as it was loaded.
    fn whole(&self, group: &str, writes: &[Write]) -> Whole {
        let mut whole = Whole::new();
        let new = Columns::of(writes.iter().filter(|write| write.base.is_none()));
        if !new.ids.is_empty() {
            let _ = new.bind_insert(whole.part("made", INSERT));
            whole.expect_rows("made", new.ids.len());
        }
        let changed = Columns::of(writes.iter().filter(|write| write.base.is_some()));
        if !changed.ids.is_empty() {
            let _ = changed.bind_update(whole.part("moved", UPDATE));
            whole.expect_rows("moved", changed.ids.len());
        }
        let entries: Vec<_> = writes.iter().flat_map(|write| &write.entries).collect();
        self.inbox.insert_with(&mut whole, group, &entries);
        let rows: Vec<_> = writes.iter().flat_map(|write| &write.rows).map(AsRef::as_ref).collect();
        self.outbox.insert_with(&mut whole, &rows, self.outbox_lease);
        let ended = ended(writes.iter());
        if !ended.is_empty() {
            let _ = whole.part("ended", END_CALL).bind(ended);
        }
        let calls = calls(writes.iter());
        if !calls.is_empty() {
            let _ = self.bind_calls(whole.part("calls", CALL), &calls);
        }
        whole
    }

    async fn write(
        &self,
        connection: &mut PgConnection,
        group: &str,
        writes: &[Write],
    ) -> Result<Vec<bool>, sqlx::Error> {
        let mut missed = HashSet::new();
        let new = Columns::of(writes.iter().filter(|write| write.base.is_none()));
        new.insert(connection, &mut missed).await?;
        let changed = Columns::of(writes.iter().filter(|write| write.base.is_some()));
        changed.update(connection, &mut missed).await?;

        let is_hit = |write: &Write| !missed.contains(&write.id);
        let hits = || writes.iter().filter(|write| is_hit(write));
        let entries: Vec<_> = hits().flat_map(|write| &write.entries).collect();
        self.inbox.insert(connection, group, &entries).await?;
        let rows: Vec<_> = hits().flat_map(|write| &write.rows).map(AsRef::as_ref).collect();
        self.outbox.insert(connection, &rows, self.outbox_lease).await?;
        self.calls(connection, hits()).await?;
        Ok(writes.iter().map(is_hit).collect())
    }

    /// Writes the calls of what is PENDING now, and ends those of what is not.
    async fn calls(
        &self,
        connection: &mut PgConnection,
        writes: impl Iterator<Item = &Write> + Clone,
    ) -> Result<(), sqlx::Error> {
        let ended = ended(writes.clone());
        if !ended.is_empty() {
            sqlx::query(END_CALL).bind(ended).execute(&mut *connection).await?;
        }
        let calls = calls(writes);
        if !calls.is_empty() {
            self.bind_calls(sqlx::query(CALL), &calls).execute(connection).await?;
        }
        Ok(())
    }

    fn bind_calls<B: Bind>(&self, insert: B, calls: &[(&str, &Deliver)]) -> B {
        insert
            .bind(calls.iter().map(|(id, _)| *id).collect::<Vec<_>>())
            .bind(calls.iter().map(|(_, call)| call.request.channel.as_str()).collect::<Vec<_>>())
            .bind(calls.iter().map(|(_, call)| number(call.attempt)).collect::<Vec<_>>())
            .bind(calls.iter().map(|(_, call)| self.wait_s(call.after)).collect::<Vec<_>>())
    }

    /// A call that is made at once is leased to us; a later one is nobody's until then.
    fn wait_s(&self, after: Duration) -> f64 {
        if after.is_zero() { self.call_lease.as_secs_f64() } else { after.as_secs_f64() }
    }
}

fn ended<'a>(writes: impl Iterator<Item = &'a Write>) -> Vec<&'a str> {
    writes
        .filter(|write| write.base.is_some())
        .filter(|write| write.next.as_ref().is_some_and(|n| n.status != Status::Pending))
        .map(|write| write.id.as_str())
        .collect()
}

fn calls<'a>(writes: impl Iterator<Item = &'a Write>) -> Vec<(&'a str, &'a Deliver)> {
    writes.filter_map(|write| Some((write.id.as_str(), write.deliver.as_ref()?))).collect()
}

/// The columns of several rows, for `unnest`.
#[derive(Default)]
struct Columns<'a> {
    ids: Vec<&'a NotificationId>,
    bases: Vec<i64>,
    requests: Vec<Option<&'a Arc<Request>>>,
    statuses: Vec<&'a str>,
    versions: Vec<i64>,
    attempts: Vec<i32>,
    bodies: Vec<Option<&'a [u8]>>,
    valid_untils: Vec<Option<DateTime<Utc>>>,
    errors: Vec<Option<&'a str>>,
}

impl<'a> Columns<'a> {
    fn of(writes: impl Iterator<Item = &'a Write>) -> Self {
        let mut columns = Self::default();
        writes.for_each(|write| columns.push(write));
        columns
    }

    fn push(&mut self, write: &'a Write) {
        let Some(next) = &write.next else { return };
        let is_pending = next.status == Status::Pending;
        let request = next.request.as_ref();
        let body = request.filter(|_| is_pending).map(|request| &*request.original.0);
        self.ids.push(&write.id);
        self.bases.push(write.base.unwrap_or_default());
        self.requests.push(request);
        self.statuses.push(next.status.as_str());
        self.versions.push(next.version);
        self.attempts.push(number(next.attempt));
        self.bodies.push(body);
        self.valid_untils.push(next.valid_until);
        self.errors.push(next.last_error.as_deref());
    }

    async fn insert(
        &self,
        connection: &mut PgConnection,
        missed: &mut HashSet<NotificationId>,
    ) -> Result<(), sqlx::Error> {
        if self.ids.is_empty() {
            return Ok(());
        }
        let done = self.bind_insert(sqlx::query(INSERT_NEW)).fetch_all(connection).await?;
        self.find_missed(&done, missed)
    }

    fn bind_insert<B: Bind>(&self, insert: B) -> B {
        let requests: Vec<&Request> = self
            .requests
            .iter()
            .map(|request| &***request.as_ref().expect("a new notification has its request"))
            .collect();
        insert
            .bind(self.names())
            .bind(requests.iter().map(|request| request.session_id).collect::<Vec<_>>())
            .bind(requests.iter().map(|request| order_no(request)).collect::<Vec<_>>())
            .bind(
                requests.iter().map(|request| request.user_id.map(UserId::get)).collect::<Vec<_>>(),
            )
            .bind(requests.iter().map(|request| request.channel.as_str()).collect::<Vec<_>>())
            .bind(requests.iter().map(|request| request.template()).collect::<Vec<_>>())
            .bind(&self.statuses)
            .bind(&self.versions)
            .bind(&self.attempts)
            .bind(&self.bodies)
            .bind(&self.valid_untils)
            .bind(&self.errors)
    }

    async fn update(
        &self,
        connection: &mut PgConnection,
        missed: &mut HashSet<NotificationId>,
    ) -> Result<(), sqlx::Error> {
        if self.ids.is_empty() {
            return Ok(());
        }
        let done = self.bind_update(sqlx::query(UPDATE)).fetch_all(connection).await?;
        self.find_missed(&done, missed)
    }

    fn bind_update<B: Bind>(&self, update: B) -> B {
        update
            .bind(self.names())
            .bind(&self.bases)
            .bind(&self.statuses)
            .bind(&self.versions)
            .bind(&self.attempts)
            .bind(&self.bodies)
            .bind(&self.valid_untils)
            .bind(&self.errors)
    }

    fn names(&self) -> Vec<&'a str> {
        self.ids.iter().map(|id| id.as_str()).collect()
    }

    fn find_missed(
        &self,
        done: &[sqlx::postgres::PgRow],
        missed: &mut HashSet<NotificationId>,
    ) -> Result<(), sqlx::Error> {
        if done.len() == self.ids.len() {
            return Ok(());
        }
        let hits = done
            .iter()
            .map(|row| row.try_get::<&str, _>("notification_id"))
            .collect::<Result<HashSet<_>, _>>()?;
        let misses = self.ids.iter().filter(|id| !hits.contains(id.as_str()));
        missed.extend(misses.map(|id| (*id).clone()));
        Ok(())
    }
}

fn order_no(request: &Request) -> Option<&str> {
    request.order_no.as_ref().map(contracts::OrderNo::as_str)
}

/// Attempts are few: the policy's limit is far below.
fn number(attempt: u32) -> i32 {
    i32::try_from(attempt).unwrap_or(i32::MAX)
}
