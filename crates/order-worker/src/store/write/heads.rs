use std::collections::HashSet;

use common::postgres::Bind;
use sqlx::{PgConnection, Row as _};

use super::{Batch, Column, Write, count};
use crate::domain::Order;
use crate::store::read::LineText;

macro_rules! insert {
    ($end:literal) => {
        concat!(
            "INSERT INTO orders.orders (order_no, session_id, show_id, user_id, caller, \
               idempotency_key, request_hash, lines, currency, total, status, version, reason, \
               payment_method, channels, created_at, expires_at, deadline_at, closed_at, \
               payment_count, refund_count) \
             SELECT unnest($1::text[]), unnest($2::int8[]), unnest($3::int8[]), \
               unnest($4::int8[]), unnest($5::text[]), unnest($6::text[]), unnest($7::bytea[]), \
               unnest($8::text[]), unnest($9::text[]), unnest($10::numeric[]), \
               unnest($11::int4[]), unnest($12::int8[]), unnest($13::text[]), \
               unnest($14::text[]), unnest($15::text[]), unnest($16::timestamptz[]), \
               unnest($17::timestamptz[]), unnest($18::timestamptz[]), \
               unnest($19::timestamptz[]), unnest($20::int2[]), unnest($21::int2[]) ",
            $end
        )
    };
}

/// Where an order is there already, the statement fails.
pub(super) const INSERT_ORDERS: &str = insert!("RETURNING 1");

/// Where an order is there already, it is left as it is.
const INSERT_NEW_ORDERS: &str = insert!("ON CONFLICT DO NOTHING RETURNING order_no");

/// Rows are written in the order of their numbers. The version is asked for twice: where the row is
/// looked up, and on what another transaction may have made of it since.
pub(super) const UPDATE_ORDERS: &str = "\
    UPDATE orders.orders AS o SET version = t.version, status = t.status, reason = t.reason, \
      payment_method = t.payment_method, reserved_at = t.reserved_at, paid_at = t.paid_at, \
      confirmed_at = t.confirmed_at, closed_at = t.closed_at, \
      payment_count = t.payment_count, refund_count = t.refund_count \
    FROM (SELECT t.*, l.ctid AS at FROM (SELECT unnest($1::text[]) AS order_no, \
          unnest($2::int8[]) AS base, unnest($3::int8[]) AS version, unnest($4::int4[]) AS status, \
          unnest($5::text[]) AS reason, unnest($6::text[]) AS payment_method, \
          unnest($7::timestamptz[]) AS reserved_at, unnest($8::timestamptz[]) AS paid_at, \
          unnest($9::timestamptz[]) AS confirmed_at, unnest($10::timestamptz[]) AS closed_at, \
          unnest($11::int2[]) AS payment_count, unnest($12::int2[]) AS refund_count \
        ORDER BY order_no) AS t, \
      LATERAL (SELECT ctid FROM orders.orders WHERE order_no = t.order_no \
        AND version = t.base LIMIT 1) AS l) AS t \
    WHERE o.ctid = t.at AND o.version = t.base RETURNING o.order_no";

impl<'a> Batch<'a> {
    /// In the order of their numbers.
    pub(super) fn new_orders(&self) -> Vec<&'a Order> {
        let new = self.units.iter().filter_map(|unit| match unit.write {
            Some(Write::Insert(order)) => Some(order),
            _ => None,
        });
        let mut orders: Vec<&Order> = new.collect();
        orders.sort_by(|a, b| a.order_no.cmp(&b.order_no));
        orders
    }

    pub(super) fn updates(&self) -> Vec<(&'a Order, &'a Order)> {
        let updates = self.units.iter().filter_map(|unit| match unit.write {
            Some(Write::Update { base, next }) => Some((base, next)),
            _ => None,
        });
        updates.collect()
    }
}

pub(super) async fn insert_orders(
    connection: &mut PgConnection,
    batch: &Batch<'_>,
) -> Result<HashSet<String>, sqlx::Error> {
    let orders = batch.new_orders();
    if orders.is_empty() {
        return Ok(HashSet::new());
    }
    let rows = bind_inserts(sqlx::query(INSERT_NEW_ORDERS), &orders).fetch_all(connection).await?;
    rows.iter().map(|row| row.try_get("order_no")).collect()
}

pub(super) fn bind_inserts<B: Bind>(insert: B, orders: &[&Order]) -> B {
    let column = Column(orders);
    insert
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
}

pub(super) async fn update_orders(
    connection: &mut PgConnection,
    batch: &Batch<'_>,
) -> Result<HashSet<String>, sqlx::Error> {
    let updates = batch.updates();
    if updates.is_empty() {
        return Ok(HashSet::new());
    }
    let rows = bind_updates(sqlx::query(UPDATE_ORDERS), &updates).fetch_all(connection).await?;
    rows.iter().map(|row| row.try_get("order_no")).collect()
}

pub(super) fn bind_updates<B: Bind>(update: B, updates: &[(&Order, &Order)]) -> B {
    let column = Column(updates);
    update
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
