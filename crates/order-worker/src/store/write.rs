use std::collections::HashSet;
use std::time::Duration;

use common::inbox::{Entry, Inbox};
use common::outbox::{self, Outbox};
use common::pipeline::Change;
use common::postgres::{Pool, Whole};
use sqlx::PgConnection;

use crate::aggregate::Orders;
use crate::domain::Order;

mod heads;
mod money;
mod work;

use heads::{INSERT_ORDERS, UPDATE_ORDERS, bind_inserts, bind_updates};
use heads::{insert_orders, update_orders};
use money::{UPSERT_REFUNDS, bind_refunds, changed_refunds, upsert_refunds};
use money::{bind_payments, changed_payments, payments_statement, upsert_payments};
use work::{Ledger, write_work, write_work_with};

/// One key's rows.
struct Unit<'a> {
    write: Option<Write<'a>>,
    change: &'a Change<Orders>,
}

#[derive(Clone, Copy)]
enum Write<'a> {
    Insert(&'a Order),
    Update { base: &'a Order, next: &'a Order },
}

impl<'a> Write<'a> {
    fn next(self) -> &'a Order {
        match self {
            Self::Insert(next) | Self::Update { next, .. } => next,
        }
    }
}

pub(super) struct Batch<'a> {
    units: Vec<Unit<'a>>,
}

impl<'a> Batch<'a> {
    pub(super) fn of(changes: &'a [Change<Orders>]) -> Self {
        let write = |change: &'a Change<Orders>| {
            let next = change.next.as_ref()?.as_ref()?;
            Some(match &change.base {
                None => Write::Insert(next),
                Some(base) => Write::Update { base, next },
            })
        };
        Self { units: changes.iter().map(|change| Unit { write: write(change), change }).collect() }
    }
}

/// Writes the batch by one statement, all or nothing; false when it can't be said in one, or when
/// something is not as it was loaded.
pub(super) async fn write_whole(
    pool: &Pool,
    batch: &Batch<'_>,
    group: &str,
    outbox: &Outbox,
    inbox: &Inbox,
    lease: Duration,
) -> Result<bool, sqlx::Error> {
    let units: Vec<(usize, &Unit<'_>)> = batch.units.iter().enumerate().collect();
    let mut whole = Whole::new();
    let new = batch.new_orders();
    if !new.is_empty() {
        let _ = bind_inserts(whole.part("made", INSERT_ORDERS), &new);
        whole.expect_rows("made", new.len());
    }
    let updates = batch.updates();
    if !updates.is_empty() {
        let _ = bind_updates(whole.part("moved", UPDATE_ORDERS), &updates);
        whole.expect_rows("moved", updates.len());
    }
    let entries: Vec<&Entry> = units.iter().flat_map(|(_, unit)| &unit.change.entries).collect();
    inbox.insert_with(&mut whole, group, &entries);
    let payments = changed_payments(&units);
    if !payments.is_empty() {
        let _ = bind_payments(whole.part("paid", payments_statement(&payments)), &payments);
    }
    let refunds = changed_refunds(&units);
    if !refunds.is_empty() {
        let _ = bind_refunds(whole.part("refunded", UPSERT_REFUNDS), &refunds);
    }
    if !write_work_with(&mut whole, Ledger::of(&units), lease) {
        return Ok(false);
    }
    let rows: Vec<&outbox::Row> =
        units.iter().flat_map(|(_, unit)| &unit.change.rows).map(AsRef::as_ref).collect();
    outbox.insert_with(&mut whole, &rows, lease);
    whole.run(pool).await
}

/// Writes the batch; answers which units took effect.
pub(super) async fn write(
    connection: &mut PgConnection,
    batch: &Batch<'_>,
    group: &str,
    outbox: &Outbox,
    inbox: &Inbox,
    lease: Duration,
) -> Result<HashSet<usize>, sqlx::Error> {
    let mut written = insert_orders(connection, batch).await?;
    written.extend(update_orders(connection, batch).await?);
    let hits: Vec<(usize, &Unit<'_>)> = batch
        .units
        .iter()
        .enumerate()
        .filter(|(_, unit)| {
            unit.write.is_none_or(|write| written.contains(write.next().order_no.as_str()))
        })
        .collect();
    upsert_payments(connection, &hits).await?;
    upsert_refunds(connection, &hits).await?;
    write_work(connection, &hits, lease).await?;
    let entries: Vec<&Entry> = hits.iter().flat_map(|(_, unit)| &unit.change.entries).collect();
    inbox.insert(connection, group, &entries).await?;
    let rows: Vec<&outbox::Row> =
        hits.iter().flat_map(|(_, unit)| &unit.change.rows).map(AsRef::as_ref).collect();
    outbox.insert(connection, &rows, lease).await?;
    Ok(hits.into_iter().map(|(index, _)| index).collect())
}

/// The written orders, each with its base (none for a new one).
fn orders_of<'a>(
    hits: &[(usize, &Unit<'a>)],
) -> impl Iterator<Item = (Option<&'a Order>, &'a Order)> {
    hits.iter().filter_map(|(_, unit)| match unit.write? {
        Write::Insert(order) => Some((None, order)),
        Write::Update { base, next } => Some((Some(base), next)),
    })
}

/// Takes one column after another out of a batch of rows.
struct Column<'a, Row>(&'a [Row]);

impl<'a, Row> Column<'a, Row> {
    fn of<T>(&self, value: impl Fn(&'a Row) -> T) -> Vec<T> {
        self.0.iter().map(value).collect()
    }
}

/// Attempts and refunds of one order are bounded far below this.
fn count(number: usize) -> i16 {
    i16::try_from(number).unwrap_or(i16::MAX)
}
