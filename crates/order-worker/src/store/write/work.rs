use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use common::postgres::{Bind, Whole};
use sqlx::PgConnection;

use super::{Column, Unit};
use crate::domain::{Call, Work};

const INSERT_CALLS: &str = "\
    INSERT INTO orders.calls (call_id, kind, order_no, session_id, payment_id, refund_id, method, \
      amount, currency, lease_until) \
    SELECT t.*, now() + $10::float8 * interval '1 second' \
    FROM unnest($1::text[], $2::int2[], $3::text[], $4::int8[], $5::text[], $6::text[], \
      $7::text[], $8::numeric[], $9::text[]) AS t \
    ON CONFLICT (call_id) DO NOTHING";

const DELETE_CALLS: &str = "\
    DELETE FROM orders.calls WHERE call_id = ANY ($1::text[])";

const INSERT_RECEIPTS: &str = "\
    INSERT INTO orders.payment_events (provider, event_id, order_no, kind, body, applied_at) \
    SELECT t.*, now() FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bytea[]) \
      AS t ORDER BY 1, 2 \
    ON CONFLICT (provider, event_id) DO UPDATE SET applied_at = now()";

/// What the batch's work comes to, sorted by id: a call that starts and ends in one fold is none.
#[derive(Default)]
pub(super) struct Ledger<'a> {
    starts: BTreeMap<&'a str, &'a Call>,
    ends: Vec<&'a str>,
    receipts: Receipts<'a>,
}

/// By provider and event: order number, kind and body.
type Receipts<'a> = HashMap<(&'a str, &'a str), (&'a str, &'a str, &'a [u8])>;

impl<'a> Ledger<'a> {
    pub(super) fn of(hits: &[(usize, &Unit<'a>)]) -> Self {
        let mut ledger = Self::default();
        for (_, unit) in hits {
            for work in &unit.change.calls {
                match work {
                    Work::Start(call) => {
                        ledger.starts.insert(&call.call_id, call);
                    }
                    Work::End { call_id } => {
                        if ledger.starts.remove(call_id.as_str()).is_none() {
                            ledger.ends.push(call_id);
                        }
                    }
                    Work::Receipt { provider, event_id, kind, body } => {
                        let order_no = unit.write.map(|write| write.next().order_no.as_str());
                        let receipt = (order_no.unwrap_or_default(), *kind, &**body);
                        ledger.receipts.insert((provider, event_id), receipt);
                    }
                }
            }
        }
        ledger
    }

    /// Whether one statement can write it: what ends a call and starts it again takes two.
    fn is_one_statement(&self) -> bool {
        !self.ends.iter().any(|end| self.starts.contains_key(end))
    }
}

/// Adds the batch's work to the statement; false when it can't be said in one.
pub(super) fn write_work_with(whole: &mut Whole, ledger: Ledger<'_>, lease: Duration) -> bool {
    if !ledger.is_one_statement() {
        return false;
    }
    let Ledger { starts, ends, receipts } = ledger;
    if !ends.is_empty() {
        let _ = whole.part("ended", DELETE_CALLS).bind(ends);
    }
    if !starts.is_empty() {
        let _ = bind_calls(whole.part("called", INSERT_CALLS), starts, lease);
    }
    if !receipts.is_empty() {
        let _ = bind_receipts(whole.part("received", INSERT_RECEIPTS), receipts);
    }
    true
}

pub(super) async fn write_work(
    connection: &mut PgConnection,
    hits: &[(usize, &Unit<'_>)],
    lease: Duration,
) -> Result<(), sqlx::Error> {
    let Ledger { starts, ends, receipts } = Ledger::of(hits);
    if !ends.is_empty() {
        sqlx::query(DELETE_CALLS).bind(ends).execute(&mut *connection).await?;
    }
    if !starts.is_empty() {
        bind_calls(sqlx::query(INSERT_CALLS), starts, lease).execute(&mut *connection).await?;
    }
    if !receipts.is_empty() {
        bind_receipts(sqlx::query(INSERT_RECEIPTS), receipts).execute(connection).await?;
    }
    Ok(())
}

fn bind_receipts<B: Bind>(insert: B, receipts: Receipts<'_>) -> B {
    let receipts: Vec<_> = receipts.into_iter().collect();
    let column = Column(&receipts);
    insert
        .bind(column.of(|((provider, _), _)| *provider))
        .bind(column.of(|((_, event_id), _)| *event_id))
        .bind(column.of(|(_, (order_no, _, _))| *order_no))
        .bind(column.of(|(_, (_, kind, _))| *kind))
        .bind(column.of(|(_, (_, _, body))| *body))
}

fn bind_calls<B: Bind>(insert: B, starts: BTreeMap<&str, &Call>, lease: Duration) -> B {
    let calls: Vec<&Call> = starts.into_values().collect();
    let column = Column(&calls);
    insert
        .bind(column.of(|call| call.call_id.as_str()))
        .bind(column.of(|call| call.kind as i16))
        .bind(column.of(|call| call.order_no.as_str()))
        .bind(column.of(|call| call.session_id))
        .bind(column.of(|call| call.payment_id.as_str()))
        .bind(column.of(|call| call.refund_id.as_deref()))
        .bind(column.of(|call| call.method.as_str()))
        .bind(column.of(|call| call.amount.decimal()))
        .bind(column.of(|call| call.currency.to_string()))
        .bind(lease.as_secs_f64())
}
