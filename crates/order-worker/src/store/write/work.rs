use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

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
    receipts: HashMap<(&'a str, &'a str), (&'a str, &'a str, &'a [u8])>,
}

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

    pub(super) fn is_empty(&self) -> bool {
        self.starts.is_empty() && self.ends.is_empty() && self.receipts.is_empty()
    }
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
        let calls: Vec<&Call> = starts.into_values().collect();
        insert_calls(connection, &calls, lease).await?;
    }
    if !receipts.is_empty() {
        let receipts: Vec<_> = receipts.into_iter().collect();
        let column = Column(&receipts);
        sqlx::query(INSERT_RECEIPTS)
            .bind(column.of(|((provider, _), _)| *provider))
            .bind(column.of(|((_, event_id), _)| *event_id))
            .bind(column.of(|(_, (order_no, _, _))| *order_no))
            .bind(column.of(|(_, (_, kind, _))| *kind))
            .bind(column.of(|(_, (_, _, body))| *body))
            .execute(connection)
            .await?;
    }
    Ok(())
}

async fn insert_calls(
    connection: &mut PgConnection,
    calls: &[&Call],
    lease: Duration,
) -> Result<(), sqlx::Error> {
    let column = Column(calls);
    sqlx::query(INSERT_CALLS)
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
        .execute(connection)
        .await?;
    Ok(())
}
