use std::collections::HashSet;

use chrono::{DateTime, Utc};
use common::postgres::Pool;
use contracts::{
    Amount, Channel, Currency, OrderNo, OrderStatus, Quantity, SessionId, ShowId, TicketId, UserId,
};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::aggregate::Key;
use crate::domain::{Line, Order, Payment, PaymentStatus, Refund, RefundStatus};

/// What one load saw.
pub struct Snapshot {
    /// The database's clock.
    pub now: DateTime<Utc>,
    pub orders: Vec<Order>,
    pub known: HashSet<Uuid>,
    /// `SALE_CHANGED` of what is newer than the caller has; read for creations only.
    pub sales: Vec<Vec<u8>>,
}

impl Snapshot {
    pub(super) fn of_nothing(now: DateTime<Utc>) -> Self {
        Self { now, orders: Vec::new(), known: HashSet::new(), sales: Vec::new() }
    }
}

/// The columns of an order, its payments and refunds; the head row is always there.
macro_rules! select {
    ($from:literal $(, $column:literal)?) => {
        concat!(
            "SELECT now() AS now, ARRAY(SELECT i.event_id FROM orders.inbox i \
               WHERE i.consumer_group = $1 AND i.event_id = ANY ($2)) AS known, ",
            $($column,)?
            "o.*, \
             CASE WHEN o.payment_count > 0 THEN (SELECT json_agg(json_build_array(p.method, \
               p.amount::text, p.status, p.provider_payment_id, p.captured::text, p.reason) \
               ORDER BY p.seq)::text FROM orders.payments p \
               WHERE p.order_no = o.order_no AND p.session_id = o.session_id) END AS payments, \
             CASE WHEN o.refund_count > 0 THEN (SELECT json_agg(json_build_array(r.payment_seq, \
               r.amount::text, r.status, r.reason) \
               ORDER BY r.seq)::text FROM orders.refunds r \
               WHERE r.order_no = o.order_no AND r.session_id = o.session_id) END AS refunds \
             FROM (SELECT 1) AS head LEFT JOIN LATERAL (",
            $from,
            ") AS o ON true"
        )
    };
}

const BY_NUMBER: &str = select!("SELECT * FROM orders.orders WHERE order_no = ANY ($3)");

/// By the key of creation, or by the number that the new order would have.
const BY_CREATION: &str = select!(
    "SELECT f.* FROM unnest($3::int8[], $4::text[], $5::text[]) AS k(session_id, caller, key), \
       LATERAL (SELECT * FROM orders.orders WHERE session_id = k.session_id \
         AND caller = k.caller AND idempotency_key = k.key LIMIT 1) AS f \
     UNION SELECT * FROM orders.orders WHERE order_no = ANY ($6)",
    "ARRAY(SELECT s.body FROM orders.sale_sessions s \
       LEFT JOIN unnest($7::int8[], $8::int8[]) AS v(session_id, version) \
         ON v.session_id = s.session_id \
       WHERE v.version IS NULL OR v.version < s.version) AS sales, "
);

/// Sales are read where `known_sales` is given. Two statements only when creations and other
/// messages share a batch; such batches are local and carry no events.
pub(super) async fn load(
    pool: &Pool,
    group: &str,
    keys: &[&Key],
    creations: &[(&Key, &OrderNo)],
    events: &[Uuid],
    known_sales: Option<&[(SessionId, i64)]>,
) -> Result<Snapshot, sqlx::Error> {
    let mut rows = Vec::new();
    let mut sales = Vec::new();
    let numbers: Vec<&str> = keys
        .iter()
        .filter_map(|key| match key {
            Key::Order(order_no) => Some(order_no.as_str()),
            Key::Creation { .. } => None,
        })
        .collect();
    if let Some(known_sales) = known_sales {
        let mut sessions = Vec::with_capacity(creations.len());
        let mut callers = Vec::with_capacity(creations.len());
        let mut idempotency_keys = Vec::with_capacity(creations.len());
        for (key, _) in creations {
            if let Key::Creation { session_id, caller, idempotency_key } = key {
                sessions.push(session_id.get());
                callers.push(&**caller);
                idempotency_keys.push(&**idempotency_key);
            }
        }
        let candidates: Vec<&str> = creations.iter().map(|(_, number)| number.as_str()).collect();
        rows = sqlx::query(BY_CREATION)
            .bind(group)
            .bind(events)
            .bind(sessions)
            .bind(callers)
            .bind(idempotency_keys)
            .bind(candidates)
            .bind(known_sales.iter().map(|(session, _)| session.get()).collect::<Vec<_>>())
            .bind(known_sales.iter().map(|(_, version)| *version).collect::<Vec<_>>())
            .fetch_all(pool)
            .await?;
        if let Some(first) = rows.first() {
            sales = first.try_get("sales")?;
        }
    }
    if known_sales.is_none() || !numbers.is_empty() {
        let more =
            sqlx::query(BY_NUMBER).bind(group).bind(events).bind(numbers).fetch_all(pool).await?;
        rows.extend(more);
    }
    let first = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    let now = first.try_get("now")?;
    let known = first.try_get::<Vec<Uuid>, _>("known")?.into_iter().collect();
    let mut orders = Vec::with_capacity(rows.len());
    for row in &rows {
        if row.try_get::<Option<&str>, _>("order_no")?.is_some() {
            orders.push(order_of(row)?);
        }
    }
    Ok(Snapshot { now, orders, known, sales })
}

#[derive(Serialize, Deserialize)]
pub(super) struct LineText(pub(super) i64, pub(super) i32, pub(super) Amount);

#[derive(Deserialize)]
struct PaymentText(String, Amount, i16, Option<String>, Option<Amount>, Option<String>);

#[derive(Deserialize)]
struct RefundText(i16, Amount, i16, String);

fn order_of(row: &PgRow) -> Result<Order, sqlx::Error> {
    let order_no = OrderNo::new(row.try_get::<&str, _>("order_no")?).map_err(corrupt)?;
    let lines: Vec<LineText> = json(row.try_get::<&str, _>("lines")?)?;
    let lines = lines
        .into_iter()
        .map(|LineText(ticket, quantity, unit_price)| {
            let quantity = Quantity::new(quantity).map_err(corrupt)?;
            Ok(Line { ticket_id: TicketId(ticket), quantity, unit_price })
        })
        .collect::<Result<_, sqlx::Error>>()?;
    let hash: &[u8] = row.try_get("request_hash")?;
    Ok(Order {
        session_id: SessionId(row.try_get("session_id")?),
        show_id: ShowId(row.try_get("show_id")?),
        user_id: UserId(row.try_get("user_id")?),
        caller: row.try_get("caller")?,
        idempotency_key: row.try_get("idempotency_key")?,
        request_hash: hash.try_into().map_err(corrupt)?,
        lines,
        currency: Currency::new(row.try_get("currency")?).map_err(corrupt)?,
        total: Amount::new(row.try_get::<Decimal, _>("total")?).map_err(corrupt)?,
        status: status_of(row.try_get("status")?)?,
        version: row.try_get("version")?,
        reason: row.try_get("reason")?,
        payment_method: row.try_get("payment_method")?,
        channels: channels_of(row.try_get("channels")?)?,
        created_at: row.try_get("created_at")?,
        expires_at: row.try_get("expires_at")?,
        deadline_at: row.try_get("deadline_at")?,
        reserved_at: row.try_get("reserved_at")?,
        paid_at: row.try_get("paid_at")?,
        confirmed_at: row.try_get("confirmed_at")?,
        closed_at: row.try_get("closed_at")?,
        payments: payments_of(&order_no, row.try_get("payments")?)?,
        refunds: refunds_of(&order_no, row.try_get("refunds")?)?,
        order_no,
    })
}

fn channels_of(text: &str) -> Result<Vec<Channel>, sqlx::Error> {
    text.split_terminator(',').map(|name| name.parse().map_err(corrupt)).collect()
}

fn payments_of(order_no: &OrderNo, text: Option<&str>) -> Result<Vec<Payment>, sqlx::Error> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let rows: Vec<PaymentText> = json(text)?;
    rows.into_iter()
        .enumerate()
        .map(|(index, PaymentText(method, amount, status, provider_id, captured, reason))| {
            let status = match status {
                0 => PaymentStatus::Created,
                1 => PaymentStatus::Pending,
                2 => PaymentStatus::Captured,
                3 => PaymentStatus::Failed,
                4 => PaymentStatus::Closed,
                other => return Err(sqlx::Error::Decode(format!("payment status {other}").into())),
            };
            let payment_id = format!("{order_no}-p{}", index + 1);
            Ok(Payment {
                payment_id,
                method,
                amount,
                status,
                provider_payment_id: provider_id,
                captured,
                reason,
            })
        })
        .collect()
}

fn refunds_of(order_no: &OrderNo, text: Option<&str>) -> Result<Vec<Refund>, sqlx::Error> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let rows: Vec<RefundText> = json(text)?;
    rows.into_iter()
        .enumerate()
        .map(|(index, RefundText(payment_seq, amount, status, reason))| {
            let status = match status {
                0 => RefundStatus::Requested,
                1 => RefundStatus::Succeeded,
                2 => RefundStatus::Manual,
                other => return Err(sqlx::Error::Decode(format!("refund status {other}").into())),
            };
            let refund_id = format!("{order_no}-r{}", index + 1);
            let payment_id = format!("{order_no}-p{payment_seq}");
            Ok(Refund { refund_id, payment_id, amount, status, reason })
        })
        .collect()
}

fn json<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, sqlx::Error> {
    serde_json::from_str(text).map_err(corrupt)
}

fn corrupt(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}

/// The statuses of these orders, as far as they are there.
pub(super) async fn statuses(
    pool: &Pool,
    numbers: &[OrderNo],
) -> Result<Vec<(OrderNo, OrderStatus)>, sqlx::Error> {
    let rows = sqlx::query("SELECT order_no, status FROM orders.orders WHERE order_no = ANY ($1)")
        .bind(numbers.iter().map(OrderNo::as_str).collect::<Vec<_>>())
        .fetch_all(pool)
        .await?;
    rows.iter()
        .map(|row| {
            let order_no = OrderNo::new(row.try_get::<&str, _>("order_no")?).map_err(corrupt)?;
            Ok((order_no, status_of(row.try_get("status")?)?))
        })
        .collect()
}

fn status_of(code: i32) -> Result<OrderStatus, sqlx::Error> {
    OrderStatus::from_code(code)
        .ok_or_else(|| sqlx::Error::Decode(format!("order status {code}").into()))
}
