//! Writing a batch: one statement, and a transaction when not all of it is as expected.
//!
//! Locks are taken sorted and in one order: reservations, inbox, `user_holds`, ticket types last, so
//! that two batches can't wait for each other.
//!
//! The statement moves each counter once, under its condition. When any row is not as it was
//! loaded, or any sum does not fit, nothing is written; the transaction locks the same rows in the
//! same order and decides order by order in memory, on counters that nobody else can move: all
//! lines of an order or none, and releases and confirmations always.

use std::sync::Arc;

use common::inbox::is_known;
use common::pipeline::StoreError;
use common::postgres::{Bind, Whole, transact};
use futures::FutureExt as _;
use sqlx::PgConnection;

use super::counters::{move_with, slow};
use super::holds;
use super::plan::{Plan, Planned, RepairRow, Verdict};
use super::{Store, store_error};
use crate::metric;

const INSERT_REPAIRS: &str = "\
    INSERT INTO stock.repairs (kind, subject, session_id, detail) \
    SELECT * FROM unnest($1::text[], $2::text[], $3::int8[], $4::text[])";

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
        let whole = self.whole(&plan).run(&self.pool).await;
        if whole.map_err(|error| store_error(&error))? {
            return Ok(vec![Verdict::Applied; plan.changes.len()]);
        }
        metrics::counter!(metric::SLOW_APPLIES).increment(1);
        let (store, plan) = (self.clone(), Arc::new(plan));
        let count = plan.changes.len();
        let done = transact(&self.pool, move |connection| {
            async move { store.apply_each(connection, &plan).await }.boxed()
        })
        .await;
        match done {
            Err(error) if is_known(&error) => Ok(vec![Verdict::Missed; count]),
            done => done.map_err(|error| store_error(&error)),
        }
    }

    fn whole(&self, plan: &Plan) -> Whole {
        let mut whole = Whole::new();
        holds::write_with(&mut whole, &plan.changes);
        let entries: Vec<_> = plan.changes.iter().flat_map(|change| &change.entries).collect();
        self.inbox.insert_with(&mut whole, &plan.group, &entries);
        move_with(&mut whole, &plan.changes);
        let rows: Vec<_> =
            plan.changes.iter().flat_map(|change| &change.rows).map(AsRef::as_ref).collect();
        self.outbox.insert_with(&mut whole, &rows, plan.lease);
        let repairs = repairs(plan.changes.iter());
        if !repairs.is_empty() {
            let _ = bind_repairs(whole.part("repairs", INSERT_REPAIRS), &repairs);
        }
        whole
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
        let rows: Vec<_> =
            written.iter().flat_map(|change| &change.rows).map(AsRef::as_ref).collect();
        self.outbox.insert(connection, &rows, plan.lease).await?;
        let repairs = repairs(written.iter().copied());
        if !repairs.is_empty() {
            bind_repairs(sqlx::query(INSERT_REPAIRS), &repairs).execute(connection).await?;
        }
        Ok(())
    }
}

fn repairs<'a>(changes: impl Iterator<Item = &'a Planned>) -> Vec<&'a RepairRow> {
    changes.flat_map(|change| &change.repairs).collect()
}

fn bind_repairs<B: Bind>(insert: B, repairs: &[&RepairRow]) -> B {
    insert
        .bind(repairs.iter().map(|repair| repair.kind).collect::<Vec<&str>>())
        .bind(repairs.iter().map(|repair| repair.subject.as_str()).collect::<Vec<&str>>())
        .bind(repairs.iter().map(|repair| repair.session_id.map(i64::from)).collect::<Vec<_>>())
        .bind(repairs.iter().map(|repair| repair.detail.as_str()).collect::<Vec<&str>>())
}
