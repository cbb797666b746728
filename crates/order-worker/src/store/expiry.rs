use chrono::{DateTime, Utc};
use contracts::{OrderNo, OrderStatus};
use sqlx::Row as _;

use super::Store;

/// How far behind the database's clock the low-water mark stays: an order that was decided
/// before and commits late must still be found. Longer than any statement may take.
const MARK_BEHIND: &str = "1 minute";

/// Orders whose deadline has passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    pub orders: Vec<OrderNo>,
    /// The deadline of the last one; the next read goes on after it.
    pub up_to: Option<DateTime<Utc>>,
}

impl Store {
    /// Up to `limit` undecided orders whose deadline lies after `from` and before now.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn due(&self, from: Option<DateTime<Utc>>, limit: i64) -> Result<Due, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT order_no, deadline_at FROM orders.orders \
             WHERE deadline_at <= now() \
               AND deadline_at > coalesce($1, (SELECT low_water FROM orders.expiry_mark)) \
               AND status = ANY ($2) \
             ORDER BY deadline_at LIMIT $3",
        )
        .bind(from)
        .bind(vec![OrderStatus::Pending.code(), OrderStatus::Reserved.code()])
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        let up_to = rows.last().map(|row| row.try_get("deadline_at")).transpose()?;
        let orders = rows
            .iter()
            .map(|row| {
                OrderNo::new(row.try_get::<&str, _>("order_no")?)
                    .map_err(|error| sqlx::Error::Decode(error.into()))
            })
            .collect::<Result<_, sqlx::Error>>()?;
        Ok(Due { orders, up_to })
    }

    /// Raises the low-water mark to the first order that is still undecided, or (when there is
    /// none) to a minute ago.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn raise_expiry_mark(&self) -> Result<(), sqlx::Error> {
        sqlx::query(
            "UPDATE orders.expiry_mark SET low_water = greatest(low_water, least( \
               now() - $2::text::interval, \
               (SELECT min(deadline_at) - interval '1 microsecond' FROM orders.orders \
                WHERE deadline_at > (SELECT low_water FROM orders.expiry_mark) \
                  AND deadline_at <= now() AND status = ANY ($1))))",
        )
        .bind(vec![OrderStatus::Pending.code(), OrderStatus::Reserved.code()])
        .bind(MARK_BEHIND)
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
