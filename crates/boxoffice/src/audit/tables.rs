use sqlx::PgConnection;

use super::Error;

/// Every table that is read.
const TABLES: &[&str] = &[
    "orders.orders",
    "orders.payments",
    "orders.refunds",
    "orders.payment_events",
    "orders.calls",
    "orders.outbox",
    "orders.outbox_batches",
    "orders.inbox",
    "stock.sessions",
    "stock.ticket_types",
    "stock.reservations",
    "stock.user_holds",
    "stock.outbox",
    "stock.outbox_batches",
    "stock.inbox",
    "notify.notifications",
    "notify.calls",
    "notify.outbox",
    "notify.outbox_batches",
    "notify.inbox",
    "dlq.dead_letters",
    "dlq.outbox",
    "dlq.outbox_batches",
];

/// An auditor that can't see a table must not call it clean.
pub(super) async fn require(connection: &mut PgConnection) -> Result<(), Error> {
    let missing: Vec<String> = sqlx::query_scalar(
        "SELECT t FROM unnest($1::text[]) AS t WHERE to_regclass(t) IS NULL ORDER BY t",
    )
    .bind(TABLES)
    .fetch_all(connection)
    .await
    .map_err(Error::postgres("look for the tables"))?;
    if missing.is_empty() { Ok(()) } else { Err(Error::Tables { missing }) }
}
