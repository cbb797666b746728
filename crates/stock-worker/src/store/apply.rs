//! Writing a batch: one transaction, and a second one when not all of it fits.
//!
//! Locks are taken sorted and in one order: reservations, inbox and outbox, `user_holds`, ticket
//! types last, so that two batches can't wait for each other.
//!
//! The first transaction moves each counter once, under its condition. When any sum does not fit
//! it is rolled back; the second one locks the same rows in the same order and decides order by
//! order in memory, on counters that nobody else can move: all lines of an order or none, and
//! releases and confirmations always.

use std::sync::Arc;

use common::inbox::is_known;
use common::pipeline::StoreError;
use common::postgres::transact;
use futures::FutureExt as _;
use sqlx::PgConnection;

use super::counters::{Fit, fast, slow};
use super::holds;
use super::plan::{Plan, Planned, Verdict};
use super::{Store, store_error};
use crate::metric;

/// How the first transaction says that it must be rolled back: some counter had no room.
const DOES_NOT_FIT: sqlx::Error = sqlx::Error::RowNotFound;

impl Store {
    /// A plan for the changes of one batch.
    pub fn plan(&self, group: &str, changes: Vec<Planned>) -> Plan {
        Plan { group: group.to_owned(), changes, lease: self.lease }
    }

    /// Writes the plan; one verdict for each change, in order. Once this returns, it is committed.
    ///
    /// # Errors
    /// The database is away, or some change's data can't be written.
    pub async fn apply(&self, plan: Plan) -> Result<Vec<Verdict>, StoreError> {
        let plan = Arc::new(plan);
        let (store, first) = (self.clone(), plan.clone());
        let done = transact(&self.pool, move |connection| {
            async move { store.apply_whole(connection, &first).await }.boxed()
        })
        .await;
        match done {
            // An event that took effect meanwhile answers the same; the second one finds it, too.
            Err(sqlx::Error::RowNotFound) => {}
            done => return done.map_err(|error| store_error(&error)),
        }
        metrics::counter!(metric::SLOW_APPLIES).increment(1);
        let (store, second) = (self.clone(), plan.clone());
        let done = transact(&self.pool, move |connection| {
            async move { store.apply_each(connection, &second).await }.boxed()
        })
        .await;
        match done {
            Err(error) if is_known(&error) => {
                Ok(plan.changes.iter().map(|_| Verdict::Missed).collect())
            }
            done => done.map_err(|error| store_error(&error)),
        }
    }

    async fn apply_whole(
        &self,
        connection: &mut PgConnection,
        plan: &Plan,
    ) -> Result<Vec<Verdict>, sqlx::Error> {
        let hits = holds::write(connection, &plan.changes).await?;
        let hit = |(change, hit): (_, &bool)| hit.then_some(change);
        let written: Vec<&Planned> = plan.changes.iter().zip(&hits).filter_map(hit).collect();
        self.record(connection, plan, &written).await?;
        if fast(connection, &written).await? == Fit::No {
            return Err(DOES_NOT_FIT);
        }
        let verdict = |hit| if hit { Verdict::Applied } else { Verdict::Missed };
        Ok(hits.into_iter().map(verdict).collect())
    }

    async fn apply_each(
        &self,
        connection: &mut PgConnection,
        plan: &Plan,
    ) -> Result<Vec<Verdict>, sqlx::Error> {
        // What is refused below is taken back: inserting first keeps the order of locks.
        let mut verdicts: Vec<Verdict> = holds::lock(connection, &plan.changes)
            .await?
            .into_iter()
            .map(|hit| if hit { Verdict::Applied } else { Verdict::Missed })
            .collect();
        slow(connection, &plan.changes, &mut verdicts).await?;
        let refused = |(change, verdict): (_, &Verdict)| {
            matches!(verdict, Verdict::Refused(_) | Verdict::StaleEpoch).then_some(change)
        };
        let refused: Vec<&Planned> =
            plan.changes.iter().zip(&verdicts).filter_map(refused).collect();
        holds::take_back(connection, &refused).await?;
        let applied =
            |(change, verdict): (_, &Verdict)| (*verdict == Verdict::Applied).then_some(change);
        let written: Vec<&Planned> =
            plan.changes.iter().zip(&verdicts).filter_map(applied).collect();
        holds::update(connection, &written).await?;
        self.record(connection, plan, &written).await?;
        Ok(verdicts)
    }

    /// Inbox entries, outbox rows and notes for operators.
    async fn record(
        &self,
        connection: &mut PgConnection,
        plan: &Plan,
        written: &[&Planned],
    ) -> Result<(), sqlx::Error> {
        let entries: Vec<_> = written.iter().flat_map(|change| &change.entries).collect();
        self.inbox.insert(connection, &plan.group, &entries).await?;
        let rows: Vec<_> = written.iter().flat_map(|change| &change.rows).collect();
        self.outbox.insert(connection, &rows, plan.lease).await?;
        let repairs: Vec<_> = written.iter().flat_map(|change| &change.repairs).collect();
        if repairs.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "INSERT INTO stock.repairs (kind, subject, session_id, detail) \
             SELECT * FROM unnest($1::text[], $2::text[], $3::int8[], $4::text[])",
        )
        .bind(repairs.iter().map(|repair| repair.kind).collect::<Vec<&str>>())
        .bind(repairs.iter().map(|repair| repair.subject.as_str()).collect::<Vec<&str>>())
        .bind(repairs.iter().map(|repair| repair.session_id.map(i64::from)).collect::<Vec<_>>())
        .bind(repairs.iter().map(|repair| repair.detail.as_str()).collect::<Vec<&str>>())
        .execute(connection)
        .await?;
        Ok(())
    }
}
