use common::postgres::Bind;
use sqlx::PgConnection;

use super::{Column, Unit, count, orders_of};
use crate::domain::{Order, Payment, Refund};

macro_rules! insert_payments {
    ($end:literal) => {
        concat!(
            "INSERT INTO orders.payments AS p (order_no, seq, session_id, method, amount, \
               currency, status, provider_payment_id, captured, reason) \
             SELECT unnest($1::text[]), unnest($2::int2[]), unnest($3::int8[]), \
               unnest($4::text[]), unnest($5::numeric[]), unnest($6::text[]), \
               unnest($7::int2[]), unnest($8::text[]), unnest($9::numeric[]), \
               unnest($10::text[])",
            $end
        )
    };
}

/// Where a payment is there already, the statement fails.
const INSERT_PAYMENTS: &str = insert_payments!("");

const UPSERT_PAYMENTS: &str = insert_payments!(
    " ON CONFLICT (order_no, seq) DO UPDATE SET status = excluded.status, \
      provider_payment_id = excluded.provider_payment_id, captured = excluded.captured, \
      reason = excluded.reason, updated_at = now()"
);

pub(super) const UPSERT_REFUNDS: &str = "\
    INSERT INTO orders.refunds AS r (order_no, seq, session_id, payment_seq, amount, currency, \
      status, reason) \
    SELECT unnest($1::text[]), unnest($2::int2[]), unnest($3::int8[]), unnest($4::int2[]), \
      unnest($5::numeric[]), unnest($6::text[]), unnest($7::int2[]), unnest($8::text[]) \
    ON CONFLICT (order_no, seq) DO UPDATE SET status = excluded.status, \
      reason = excluded.reason, updated_at = now()";

/// A payment with its order and number.
pub(super) struct ChangedPayment<'a> {
    order: &'a Order,
    seq: i16,
    payment: &'a Payment,
    is_new: bool,
}

/// A refund with its order, its number and its payment's.
pub(super) type ChangedRefund<'a> = (&'a Order, i16, i16, &'a Refund);

pub(super) fn changed_payments<'a>(hits: &[(usize, &Unit<'a>)]) -> Vec<ChangedPayment<'a>> {
    let mut changed = Vec::new();
    for (base, next) in orders_of(hits) {
        for (index, payment) in next.payments.iter().enumerate() {
            let before = base.and_then(|base| base.payments.get(index));
            if before != Some(payment) {
                let (seq, is_new) = (count(index + 1), before.is_none());
                changed.push(ChangedPayment { order: next, seq, payment, is_new });
            }
        }
    }
    changed
}

/// The statement that writes them, where none is to be there that is believed to be new.
pub(super) fn payments_statement(changed: &[ChangedPayment<'_>]) -> &'static str {
    match changed.iter().all(|changed| changed.is_new) {
        true => INSERT_PAYMENTS,
        false => UPSERT_PAYMENTS,
    }
}

pub(super) async fn upsert_payments(
    connection: &mut PgConnection,
    hits: &[(usize, &Unit<'_>)],
) -> Result<(), sqlx::Error> {
    let changed = changed_payments(hits);
    if changed.is_empty() {
        return Ok(());
    }
    bind_payments(sqlx::query(UPSERT_PAYMENTS), &changed).execute(connection).await?;
    Ok(())
}

pub(super) fn bind_payments<B: Bind>(upsert: B, changed: &[ChangedPayment<'_>]) -> B {
    let column = Column(changed);
    upsert
        .bind(column.of(|changed| changed.order.order_no.as_str()))
        .bind(column.of(|changed| changed.seq))
        .bind(column.of(|changed| changed.order.session_id.get()))
        .bind(column.of(|changed| changed.payment.method.as_str()))
        .bind(column.of(|changed| changed.payment.amount.decimal()))
        .bind(column.of(|changed| changed.order.currency.to_string()))
        .bind(column.of(|changed| changed.payment.status as i16))
        .bind(column.of(|changed| changed.payment.provider_payment_id.as_deref()))
        .bind(column.of(|changed| changed.payment.captured.map(contracts::Amount::decimal)))
        .bind(column.of(|changed| changed.payment.reason.as_deref()))
}

pub(super) fn changed_refunds<'a>(hits: &[(usize, &Unit<'a>)]) -> Vec<ChangedRefund<'a>> {
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
    changed
}

pub(super) async fn upsert_refunds(
    connection: &mut PgConnection,
    hits: &[(usize, &Unit<'_>)],
) -> Result<(), sqlx::Error> {
    let changed = changed_refunds(hits);
    if changed.is_empty() {
        return Ok(());
    }
    bind_refunds(sqlx::query(UPSERT_REFUNDS), &changed).execute(connection).await?;
    Ok(())
}

pub(super) fn bind_refunds<B: Bind>(upsert: B, changed: &[ChangedRefund<'_>]) -> B {
    let column = Column(changed);
    upsert
        .bind(column.of(|(order, _, _, _)| order.order_no.as_str()))
        .bind(column.of(|(_, seq, _, _)| *seq))
        .bind(column.of(|(order, _, _, _)| order.session_id.get()))
        .bind(column.of(|(_, _, payment, _)| *payment))
        .bind(column.of(|(_, _, _, refund)| refund.amount.decimal()))
        .bind(column.of(|(order, _, _, _)| order.currency.to_string()))
        .bind(column.of(|(_, _, _, refund)| refund.status as i16))
        .bind(column.of(|(_, _, _, refund)| refund.reason.as_str()))
}
