use serde::Serialize;
use sqlx::{PgConnection, Row as _};

use super::Error;
use super::quiet::{said, takes, untaken};

/// What is still on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InFlight {
    /// Outbox rows that wait to be published, in all schemas.
    pub events_pending: i64,
    /// Published events that a group which takes them has not decided.
    pub events_untaken: i64,
    /// Calls to the payment provider.
    pub payment_calls: i64,
    /// Signed payment events that have not taken effect yet.
    pub payment_events_parked: i64,
    /// Notifications to be delivered.
    pub deliveries: i64,
    /// Orders that neither ended nor wait for their buyer.
    pub orders_moving: i64,
}

impl InFlight {
    /// Whether all is quiet.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

const CHEAP: &str = "\
SELECT \
  (SELECT coalesce(sum(events), 0) FROM orders.outbox_batches WHERE sent_at IS NULL) \
  + (SELECT coalesce(sum(events), 0) FROM stock.outbox_batches WHERE sent_at IS NULL) \
  + (SELECT coalesce(sum(events), 0) FROM notify.outbox_batches WHERE sent_at IS NULL) \
  + (SELECT coalesce(sum(events), 0) FROM dlq.outbox_batches WHERE sent_at IS NULL) \
    AS events_pending, \
  (SELECT count(*) FROM orders.calls) AS payment_calls, \
  (SELECT count(*) FROM orders.payment_events WHERE applied_at IS NULL AND outcome IS NULL) \
    AS payment_events_parked, \
  (SELECT count(*) FROM notify.calls) AS deliveries, \
  (SELECT count(*) FROM orders.orders AS o WHERE o.status IN (1, 6, 10) \
     OR (o.status IN (0, 3) AND o.deadline_at < now()) \
     OR (o.status = 8 AND NOT EXISTS (SELECT FROM orders.refunds AS r \
       WHERE r.order_no = o.order_no AND r.status = 2))) AS orders_moving";

const UNTAKEN: &str = concat!("SELECT count(*) FROM (", untaken!(), ") AS u");

/// One look; whether events are untaken is asked only when the rest is quiet.
pub(super) async fn look(connection: &mut PgConnection) -> Result<InFlight, Error> {
    let failed = |source| Error::Postgres { doing: "look what is in flight", source };
    let row = sqlx::query(CHEAP).fetch_one(&mut *connection).await.map_err(failed)?;
    let count = |column: &str| row.try_get::<i64, _>(column).map_err(failed);
    let mut in_flight = InFlight {
        events_pending: count("events_pending")?,
        events_untaken: 0,
        payment_calls: count("payment_calls")?,
        payment_events_parked: count("payment_events_parked")?,
        deliveries: count("deliveries")?,
        orders_moving: count("orders_moving")?,
    };
    if in_flight.is_nothing() {
        in_flight.events_untaken =
            sqlx::query_scalar(UNTAKEN).fetch_one(connection).await.map_err(failed)?;
    }
    Ok(in_flight)
}
