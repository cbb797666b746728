use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use common::inbox::{Entry, Inbox};
use common::outbox::{self, Outbox};
use common::pipeline::Change;
use sqlx::{PgConnection, Row as _};

use super::read::LineText;
use crate::aggregate::Orders;
use crate::domain::{Call, Order, Work};

const INSERT_ORDERS: &str = "\
    INSERT INTO orders.orders (order_no, session_id, show_id, user_id, caller, idempotency_key, \
      request_hash, lines, currency, total, status, version, reason, payment_method, channels, \
      created_at, expires_at, deadline_at, closed_at, payment_count, refund_count) \
    SELECT t.* FROM unnest($1::text[], $2::int8[], $3::int8[], $4::int8[], $5::text[], \
      $6::text[], $7::bytea[], $8::text[], $9::text[], $10::numeric[], $11::int4[], $12::int8[], \
      $13::text[], $14::text[], $15::text[], $16::timestamptz[], $17::timestamptz[], \
      $18::timestamptz[], $19::timestamptz[], $20::int2[], $21::int2[]) AS t \
    ON CONFLICT DO NOTHING RETURNING order_no";

/// Rows are locked in the order of their numbers before any is written.
const UPDATE_ORDERS: &str = "\
    WITH locked AS MATERIALIZED ( \
      SELECT t.*, l.ctid AS at FROM (SELECT * FROM unnest($1::text[], $2::int8[], $3::int8[], \
          $4::int4[], $5::text[], $6::text[], $7::timestamptz[], $8::timestamptz[], \
          $9::timestamptz[], $10::timestamptz[], $11::int2[], $12::int2[]) \
        AS t(order_no, base, version, status, reason, payment_method, reserved_at, paid_at, \
          confirmed_at, closed_at, payment_count, refund_count) ORDER BY order_no) AS t, \
      LATERAL (SELECT o.ctid FROM orders.orders o WHERE o.order_no = t.order_no \
        AND o.version = t.base FOR UPDATE) AS l) \
    UPDATE orders.orders AS o SET version = l.version, status = l.status, reason = l.reason, \
      payment_method = l.payment_method, reserved_at = l.reserved_at, paid_at = l.paid_at, \
      confirmed_at = l.confirmed_at, closed_at = l.closed_at, \
      payment_count = l.payment_count, refund_count = l.refund_count \
    FROM locked AS l WHERE o.ctid = l.at RETURNING o.order_no";

const UPSERT_PAYMENTS: &str = "\
    INSERT INTO orders.payments AS p (order_no, seq, session_id, method, amount, currency, \
      status, provider_payment_id, captured, reason) \
    SELECT t.* FROM unnest($1::text[], $2::int2[], $3::int8[], $4::text[], $5::numeric[], \
      $6::text[], $7::int2[], $8::text[], $9::numeric[], $10::text[]) AS t \
    ON CONFLICT (order_no, seq) DO UPDATE SET status = excluded.status, \
      provider_payment_id = excluded.provider_payment_id, captured = excluded.captured, \
      reason = excluded.reason, updated_at = now()";

const UPSERT_REFUNDS: &str = "\
    INSERT INTO orders.refunds AS r (order_no, seq, session_id, payment_seq, amount, currency, \
      status, reason) \
    SELECT t.* FROM unnest($1::text[], $2::int2[], $3::int8[], $4::int2[], $5::numeric[], \
      $6::text[], $7::int2[], $8::text[]) AS t \
    ON CONFLICT (order_no, seq) DO UPDATE SET status = excluded.status, \
      reason = excluded.reason, updated_at = now()";

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
    let rows: Vec<&outbox::Row> = hits.iter().flat_map(|(_, unit)| &unit.change.rows).collect();
    outbox.insert(connection, &rows, lease).await?;
    Ok(hits.into_iter().map(|(index, _)| index).collect())
}

async fn insert_orders(
    connection: &mut PgConnection,
    batch: &Batch<'_>,
) -> Result<HashSet<String>, sqlx::Error> {
    let mut orders: Vec<&Order> = batch
        .units
        .iter()
        .filter_map(|unit| match unit.write {
            Some(Write::Insert(order)) => Some(order),
            _ => None,
        })
        .collect();
    if orders.is_empty() {
        return Ok(HashSet::new());
    }
    orders.sort_by(|a, b| a.order_no.cmp(&b.order_no));
    let column = Column(&orders);
    let rows = sqlx::query(INSERT_ORDERS)
        .bind(column.of(|order| order.order_no.as_str()))
        .bind(column.of(|order| order.session_id.get()))
        .bind(column.of(|order| order.show_id.get()))
        .bind(column.of(|order| order.user_id.get()))
        .bind(column.of(|order| order.caller.as_str()))
        .bind(column.of(|order| order.idempotency_key.as_str()))
        .bind(column.of(|order| order.request_hash.as_slice()))
        .bind(column.of(|order| lines_text(order)))
        .bind(column.of(|order| order.currency.to_string()))
        .bind(column.of(|order| order.total.decimal()))
        .bind(column.of(|order| order.status.code()))
        .bind(column.of(|order| order.version))
        .bind(column.of(|order| order.reason.as_deref()))
        .bind(column.of(|order| order.payment_method.as_deref()))
        .bind(column.of(|order| channels_text(order)))
        .bind(column.of(|order| order.created_at))
        .bind(column.of(|order| order.expires_at))
        .bind(column.of(|order| order.deadline_at))
        .bind(column.of(|order| order.closed_at))
        .bind(column.of(|order| count(order.payments.len())))
        .bind(column.of(|order| count(order.refunds.len())))
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| row.try_get("order_no")).collect()
}

async fn update_orders(
    connection: &mut PgConnection,
    batch: &Batch<'_>,
) -> Result<HashSet<String>, sqlx::Error> {
    let updates: Vec<(&Order, &Order)> = batch
        .units
        .iter()
        .filter_map(|unit| match unit.write {
            Some(Write::Update { base, next }) => Some((base, next)),
            _ => None,
        })
        .collect();
    if updates.is_empty() {
        return Ok(HashSet::new());
    }
    let column = Column(&updates);
    let rows = sqlx::query(UPDATE_ORDERS)
        .bind(column.of(|(_, next)| next.order_no.as_str()))
        .bind(column.of(|(base, _)| base.version))
        .bind(column.of(|(_, next)| next.version))
        .bind(column.of(|(_, next)| next.status.code()))
        .bind(column.of(|(_, next)| next.reason.as_deref()))
        .bind(column.of(|(_, next)| next.payment_method.as_deref()))
        .bind(column.of(|(_, next)| next.reserved_at))
        .bind(column.of(|(_, next)| next.paid_at))
        .bind(column.of(|(_, next)| next.confirmed_at))
        .bind(column.of(|(_, next)| next.closed_at))
        .bind(column.of(|(_, next)| count(next.payments.len())))
        .bind(column.of(|(_, next)| count(next.refunds.len())))
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| row.try_get("order_no")).collect()
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

async fn upsert_payments(
    connection: &mut PgConnection,
    hits: &[(usize, &Unit<'_>)],
) -> Result<(), sqlx::Error> {
    let mut changed = Vec::new();
    for (base, next) in orders_of(hits) {
        for (index, payment) in next.payments.iter().enumerate() {
            if base.and_then(|base| base.payments.get(index)) != Some(payment) {
                changed.push((next, count(index + 1), payment));
            }
        }
    }
    if changed.is_empty() {
        return Ok(());
    }
    let column = Column(&changed);
    sqlx::query(UPSERT_PAYMENTS)
        .bind(column.of(|(order, _, _)| order.order_no.as_str()))
        .bind(column.of(|(_, seq, _)| *seq))
        .bind(column.of(|(order, _, _)| order.session_id.get()))
        .bind(column.of(|(_, _, payment)| payment.method.as_str()))
        .bind(column.of(|(_, _, payment)| payment.amount.decimal()))
        .bind(column.of(|(order, _, _)| order.currency.to_string()))
        .bind(column.of(|(_, _, payment)| payment.status as i16))
        .bind(column.of(|(_, _, payment)| payment.provider_payment_id.as_deref()))
        .bind(column.of(|(_, _, payment)| payment.captured.map(contracts::Amount::decimal)))
        .bind(column.of(|(_, _, payment)| payment.reason.as_deref()))
        .execute(connection)
        .await?;
    Ok(())
}

async fn upsert_refunds(
    connection: &mut PgConnection,
    hits: &[(usize, &Unit<'_>)],
) -> Result<(), sqlx::Error> {
    let mut changed = Vec::new();
    for (base, next) in orders_of(hits) {
        for (index, refund) in next.refunds.iter().enumerate() {
            if base.and_then(|base| base.refunds.get(index)) != Some(refund) {
                let payment = next
                    .payments
                    .iter()
                    .position(|payment| payment.payment_id == refund.payment_id)
                    .expect("a refund names a payment of its order");
                changed.push((next, count(index + 1), count(payment + 1), refund));
            }
        }
    }
    if changed.is_empty() {
        return Ok(());
    }
    let column = Column(&changed);
    sqlx::query(UPSERT_REFUNDS)
        .bind(column.of(|(order, _, _, _)| order.order_no.as_str()))
        .bind(column.of(|(_, seq, _, _)| *seq))
        .bind(column.of(|(order, _, _, _)| order.session_id.get()))
        .bind(column.of(|(_, _, payment, _)| *payment))
        .bind(column.of(|(_, _, _, refund)| refund.amount.decimal()))
        .bind(column.of(|(order, _, _, _)| order.currency.to_string()))
        .bind(column.of(|(_, _, _, refund)| refund.status as i16))
        .bind(column.of(|(_, _, _, refund)| refund.reason.as_str()))
        .execute(connection)
        .await?;
    Ok(())
}

/// What the batch's work comes to, sorted by id: a call that starts and ends in one fold is none.
async fn write_work(
    connection: &mut PgConnection,
    hits: &[(usize, &Unit<'_>)],
    lease: Duration,
) -> Result<(), sqlx::Error> {
    let mut starts: BTreeMap<&str, &Call> = BTreeMap::new();
    let mut ends: Vec<&str> = Vec::new();
    let mut receipts = HashMap::new();
    for (_, unit) in hits {
        for work in &unit.change.calls {
            match work {
                Work::Start(call) => {
                    starts.insert(&call.call_id, call);
                }
                Work::End { call_id } => {
                    if starts.remove(call_id.as_str()).is_none() {
                        ends.push(call_id);
                    }
                }
                Work::Receipt { provider, event_id, kind, body } => {
                    let order_no = unit.write.map(|write| write.next().order_no.as_str());
                    let order_no = order_no.unwrap_or_default();
                    receipts.insert((provider, event_id), (order_no, *kind, body));
                }
            }
        }
    }
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
            .bind(column.of(|((provider, _), _)| provider.as_str()))
            .bind(column.of(|((_, event_id), _)| event_id.as_str()))
            .bind(column.of(|(_, (order_no, _, _))| *order_no))
            .bind(column.of(|(_, (_, kind, _))| *kind))
            .bind(column.of(|(_, (_, _, body))| body.as_slice()))
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

/// Takes one column after another out of a batch of rows.
struct Column<'a, Row>(&'a [Row]);

impl<'a, Row> Column<'a, Row> {
    fn of<T>(&self, value: impl Fn(&'a Row) -> T) -> Vec<T> {
        self.0.iter().map(value).collect()
    }
}

fn lines_text(order: &Order) -> String {
    let lines: Vec<LineText> = order
        .lines
        .iter()
        .map(|line| LineText(line.ticket_id.get(), line.quantity.get(), line.unit_price))
        .collect();
    serde_json::to_string(&lines).expect("numbers and decimals are always JSON")
}

fn channels_text(order: &Order) -> String {
    order.channels.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// Attempts and refunds of one order are bounded far below this.
fn count(number: usize) -> i16 {
    i16::try_from(number).unwrap_or(i16::MAX)
}
