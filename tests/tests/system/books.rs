//! What the tables say, to be compared.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::AssertSqlSafe;

use crate::stage::Stage;

/// Every table but those of messages on their way, which repeats may add to.
const TABLES: [&str; 14] = [
    "orders.orders",
    "orders.payments",
    "orders.refunds",
    "orders.payment_events",
    "orders.calls",
    "orders.sale_sessions",
    "stock.sessions",
    "stock.ticket_types",
    "stock.reservations",
    "stock.user_holds",
    "stock.repairs",
    "notify.notifications",
    "notify.calls",
    "dlq.dead_letters",
];

/// All rows of all tables, and what Redis says of the session.
pub(crate) struct Books {
    rows: BTreeMap<&'static str, BTreeSet<String>>,
    stock: String,
}

impl Books {
    pub(crate) async fn read(stage: &Stage) -> Self {
        let mut rows = BTreeMap::new();
        for table in TABLES {
            let all = AssertSqlSafe(format!("SELECT to_jsonb(t)::text FROM {table} AS t"));
            let all: Vec<String> = sqlx::query_scalar(all)
                .fetch_all(&stage.database)
                .await
                .unwrap_or_else(|error| panic!("{table}: {error}"));
            rows.insert(table, all.into_iter().collect());
        }
        let session = crate::stage::SESSION.to_string();
        let stock = stage.operator(&["--json", "stock", "show", &session]).await;
        Self { rows, stock }
    }

    /// Without one table, which may change.
    pub(crate) fn but_for(mut self, table: &str) -> Self {
        self.rows.remove(table);
        self
    }

    /// # Panics
    /// When `after` differs, with the rows that do.
    pub(crate) fn assert_same(&self, after: &Self, because: &str) {
        for (table, rows) in &self.rows {
            let now = &after.rows[table];
            let gone: Vec<_> = rows.difference(now).collect();
            let new: Vec<_> = now.difference(rows).collect();
            assert!(gone.is_empty() && new.is_empty(), "{because}: {table}: {gone:#?} -> {new:#?}");
        }
        assert_eq!(self.stock, after.stock, "{because}");
    }
}
