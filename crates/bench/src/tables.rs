//! What the workers' tables say about the orders of a run; reading only.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use contracts::OrderStatus;
use serde::Serialize;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, PgPool, Row as _};
use tokio::time::Instant;

use crate::times::Quantiles;

const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// From which column to which: a step of the saga, on the database's clock.
const STEPS: [(&str, &str); 6] = [
    ("created_to_reserved", "o.reserved_at - o.created_at"),
    ("reserved_to_paid", "o.paid_at - o.reserved_at"),
    ("paid_to_confirmed", "o.confirmed_at - o.paid_at"),
    ("created_to_confirmed", "o.confirmed_at - o.created_at"),
    ("created_to_rejected", "CASE WHEN o.status = 5 THEN o.closed_at - o.created_at END"),
    ("created_to_notified", "n.created_at - o.created_at"),
];

pub(crate) struct Tables {
    pool: PgPool,
}

/// Counters of the database since it was created.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Counters {
    pub(crate) commits: i64,
    pub(crate) rows_written: i64,
    pub(crate) wal_bytes: i64,
}

/// How many orders came to what.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Rates {
    pub(crate) created: i64,
    pub(crate) reserved: i64,
    pub(crate) confirmed: i64,
    pub(crate) rejected: i64,
}

impl Tables {
    pub(crate) async fn open(url: &str) -> anyhow::Result<Self> {
        // Statistics know nothing of a run's orders: a loop over the few that are expected would take
        // minutes.
        let options: PgConnectOptions = url.parse()?;
        let options = options.options([("enable_nestloop", "off")]);
        Ok(Self { pool: PgPoolOptions::new().max_connections(2).connect_with(options).await? })
    }

    pub(crate) async fn now(&self) -> anyhow::Result<DateTime<Utc>> {
        Ok(sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(&self.pool).await?)
    }

    /// The highest order number: those of this run are above it, for they are in time order.
    pub(crate) async fn last_order_no(&self) -> anyhow::Result<String> {
        let sql = "SELECT coalesce(max(order_no), '') FROM orders.orders";
        Ok(sqlx::query_scalar(sql).fetch_one(&self.pool).await?)
    }

    pub(crate) async fn counters(&self) -> anyhow::Result<Counters> {
        let row = sqlx::query(
            "SELECT xact_commit AS commits, tup_inserted + tup_updated + tup_deleted AS rows, \
               (SELECT wal_bytes::int8 FROM pg_stat_wal) AS wal \
             FROM pg_stat_database WHERE datname = current_database()",
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(Counters {
            commits: row.try_get("commits")?,
            rows_written: row.try_get("rows")?,
            wal_bytes: row.try_get("wal")?,
        })
    }

    /// Waits until `expected` orders above `first` are there, each decided for good and told of;
    /// false when that has not come about within `limit`.
    pub(crate) async fn until_decided(
        &self,
        first: &str,
        expected: u64,
        is_paid: bool,
        limit: Duration,
    ) -> anyhow::Result<bool> {
        let end = Instant::now() + limit;
        let open = if is_paid { "status IN (0, 1, 3, 6, 8, 10)" } else { "status = 0" };
        let sql = format!(
            "SELECT count(*), count(*) FILTER (WHERE {open}), \
               count(*) FILTER (WHERE status IN (2, 4, 5, 7, 9)), \
               (SELECT count(*) FROM notify.notifications WHERE order_no > $1) \
             FROM orders.orders WHERE order_no > $1"
        );
        loop {
            let row =
                sqlx::query(AssertSqlSafe(sql.clone())).bind(first).fetch_one(&self.pool).await?;
            let at = |column: usize| row.try_get::<i64, _>(column);
            let (all, open, ended, told) = (at(0)?, at(1)?, at(2)?, at(3)?);
            if u64::try_from(all)? >= expected && open == 0 && told >= ended {
                return Ok(true);
            }
            if Instant::now() >= end {
                return Ok(false);
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// What happened from `since` until `until`.
    pub(crate) async fn rates(
        &self,
        first: &str,
        since: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> anyhow::Result<Rates> {
        let row = sqlx::query(
            "SELECT count(*) FILTER (WHERE created_at BETWEEN $2 AND $3) AS created, \
               count(*) FILTER (WHERE reserved_at BETWEEN $2 AND $3) AS reserved, \
               count(*) FILTER (WHERE confirmed_at BETWEEN $2 AND $3) AS confirmed, \
               count(*) FILTER (WHERE status = 5 AND closed_at BETWEEN $2 AND $3) AS rejected \
             FROM orders.orders WHERE order_no > $1",
        )
        .bind(first)
        .bind(since)
        .bind(until)
        .fetch_one(&self.pool)
        .await?;
        Ok(Rates {
            created: row.try_get("created")?,
            reserved: row.try_get("reserved")?,
            confirmed: row.try_get("confirmed")?,
            rejected: row.try_get("rejected")?,
        })
    }

    /// How many orders there are of each status.
    pub(crate) async fn statuses(&self, first: &str) -> anyhow::Result<BTreeMap<String, i64>> {
        let sql = "SELECT status, count(*) FROM orders.orders WHERE order_no > $1 GROUP BY status";
        let rows = sqlx::query(sql).bind(first).fetch_all(&self.pool).await?;
        rows.iter()
            .map(|row| {
                let code: i32 = row.try_get(0)?;
                let name = OrderStatus::from_code(code).map_or("?", OrderStatus::as_str);
                Ok((name.to_owned(), row.try_get(1)?))
            })
            .collect()
    }

    /// How long each step took; those that nobody made are left out.
    pub(crate) async fn steps(
        &self,
        first: &str,
    ) -> anyhow::Result<BTreeMap<&'static str, Quantiles>> {
        let columns = STEPS.iter().map(|(_, step)| format!("extract(epoch FROM {step}) * 1000"));
        let columns = columns.collect::<Vec<_>>().join(", ");
        let names: Vec<String> = (0..STEPS.len()).map(|number| format!("s{number}")).collect();
        let quantiles = names.iter().map(|name| {
            format!(
                "count({name}), percentile_disc(ARRAY[0.5, 0.99, 0.999, 1.0]) \
                   WITHIN GROUP (ORDER BY {name})::float8[]"
            )
        });
        let sql = format!(
            "WITH t({}) AS (SELECT {columns} FROM orders.orders o \
               LEFT JOIN notify.notifications n ON n.order_no = o.order_no AND n.order_no > $1 \
               WHERE o.order_no > $1) SELECT {} FROM t",
            names.join(", "),
            quantiles.collect::<Vec<_>>().join(", ")
        );
        let row = sqlx::query(AssertSqlSafe(sql)).bind(first).fetch_one(&self.pool).await?;
        let mut steps = BTreeMap::new();
        for (number, (name, _)) in STEPS.iter().enumerate() {
            let count: i64 = row.try_get(2 * number)?;
            let times: Option<Vec<Option<f64>>> = row.try_get(2 * number + 1)?;
            let times = times.unwrap_or_default();
            if let [Some(p50), Some(p99), Some(p999), Some(max)] = times[..] {
                let count = u64::try_from(count)?;
                steps.insert(*name, Quantiles { count, p50, p99, p999, max });
            }
        }
        Ok(steps)
    }
}
