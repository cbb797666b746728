use std::collections::BTreeMap;

use sqlx::{PgConnection, Row as _};

use super::Error;

const COUNTS: &str = "\
SELECT 'orders.' || (ARRAY['PENDING', 'PAID', 'CANCELLED', 'RESERVED', 'CONFIRMED', 'REJECTED', \
    'EXPIRING', 'EXPIRED', 'REFUNDING', 'REFUNDED', 'REACQUIRING'])[status + 1] AS name, \
  count(*) AS number FROM orders.orders GROUP BY status \
UNION ALL SELECT 'payments.captured', count(*) FROM orders.payments WHERE status = 2 \
UNION ALL SELECT 'refunds.' || (ARRAY['requested', 'succeeded', 'manual'])[status + 1], count(*) \
  FROM orders.refunds GROUP BY status \
UNION ALL SELECT 'tickets.total', coalesce(sum(total), 0)::int8 FROM stock.ticket_types \
UNION ALL SELECT 'tickets.reserved', coalesce(sum(reserved), 0)::int8 FROM stock.ticket_types \
UNION ALL SELECT 'tickets.sold', coalesce(sum(sold), 0)::int8 FROM stock.ticket_types \
UNION ALL SELECT 'holds.' || lower(status), count(*) FROM stock.reservations GROUP BY status \
UNION ALL SELECT 'notifications.' || status, count(*) FROM notify.notifications GROUP BY status \
UNION ALL SELECT 'events.orders', count(*) FROM orders.outbox \
UNION ALL SELECT 'events.stock', count(*) FROM stock.outbox \
UNION ALL SELECT 'deadLetters.' || status, count(*) FROM dlq.dead_letters GROUP BY status";

/// What the system holds, in the same snapshot as the checks.
pub(super) async fn read(connection: &mut PgConnection) -> Result<BTreeMap<String, i64>, Error> {
    let failed = |source| Error::Postgres { doing: "count", source };
    let rows = sqlx::query(COUNTS).fetch_all(connection).await.map_err(failed)?;
    let mut counts = BTreeMap::new();
    for row in rows {
        let name: Option<String> = row.try_get("name").map_err(failed)?;
        let number: i64 = row.try_get("number").map_err(failed)?;
        counts.insert(name.unwrap_or_else(|| "orders.?".to_owned()), number);
    }
    Ok(counts)
}
