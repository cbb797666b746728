use std::time::Duration;

use contracts::{Amount, Currency, OrderNo};
use rust_decimal::Decimal;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::Store;
use crate::domain::{Call, CallKind};

/// One call of a payment at a time. A close (kind 1) goes before an open that is still there: the
/// provider then never opens it. Otherwise the older one goes first.
const CLAIM: &str = "\
    UPDATE orders.calls AS c SET lease_until = now() + $2::float8 * interval '1 second' \
    FROM (SELECT call_id FROM orders.calls AS due WHERE lease_until < now() \
            AND NOT EXISTS (SELECT FROM orders.calls AS other \
              WHERE other.payment_id = due.payment_id AND other.call_id <> due.call_id \
                AND (other.kind <> 1, other.created_at, other.call_id) \
                  < (due.kind <> 1, due.created_at, due.call_id)) \
          ORDER BY lease_until LIMIT $1 FOR UPDATE SKIP LOCKED) AS d \
    WHERE c.call_id = d.call_id RETURNING c.*";

const PUT_OFF: &str = "\
    UPDATE orders.calls SET attempts = attempts + 1, \
      lease_until = now() + $2::float8 * interval '1 second' WHERE call_id = $1";

/// A call that nobody is making, and how often it was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedCall {
    pub call: Call,
    pub attempts: i32,
}

impl Store {
    /// Claims up to `limit` calls whose lease has run out, and leases them for `lease`.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn claim_calls(
        &self,
        limit: i64,
        lease: Duration,
    ) -> Result<Vec<ClaimedCall>, sqlx::Error> {
        let rows =
            sqlx::query(CLAIM).bind(limit).bind(lease.as_secs_f64()).fetch_all(&self.pool).await?;
        rows.iter().map(claimed).collect()
    }

    /// Counts a failed attempt and leaves the call alone for `delay`.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn put_off_call(&self, call_id: &str, delay: Duration) -> Result<(), sqlx::Error> {
        sqlx::query(PUT_OFF).bind(call_id).bind(delay.as_secs_f64()).execute(&self.pool).await?;
        Ok(())
    }
}

fn claimed(row: &PgRow) -> Result<ClaimedCall, sqlx::Error> {
    let corrupt = |error: contracts::Invalid| sqlx::Error::Decode(error.into());
    let kind = match row.try_get::<i16, _>("kind")? {
        0 => CallKind::Open,
        1 => CallKind::Close,
        2 => CallKind::Refund,
        other => return Err(sqlx::Error::Decode(format!("call kind {other}").into())),
    };
    let call = Call {
        call_id: row.try_get("call_id")?,
        kind,
        order_no: OrderNo::new(row.try_get::<&str, _>("order_no")?).map_err(corrupt)?,
        session_id: row.try_get("session_id")?,
        payment_id: row.try_get("payment_id")?,
        refund_id: row.try_get("refund_id")?,
        method: row.try_get("method")?,
        amount: Amount::new(row.try_get::<Decimal, _>("amount")?).map_err(corrupt)?,
        currency: Currency::new(row.try_get("currency")?).map_err(corrupt)?,
    };
    Ok(ClaimedCall { call, attempts: row.try_get("attempts")? })
}
