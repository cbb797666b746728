//! Q1 to Q6: what holds when nothing is in flight.

use super::ForeignOrders;
use super::check::Check;

pub(super) const Q2: &str = "Q2";
pub(super) const Q3: &str = "Q3";

pub(super) fn checks(foreign: ForeignOrders) -> [Check; 6] {
    [q1(foreign), q2(), q3(), q4(), q5(), q6()]
}

/// The orders that are there; the margin is the sweep's.
macro_rules! q1_of_orders {
    () => {
        "SELECT o.order_no AS subject, format('order status %s, hold %s', o.status, \
           coalesce(r.status, 'none')) AS detail \
         FROM orders.orders AS o LEFT JOIN stock.reservations AS r ON r.order_no = o.order_no \
         WHERE CASE o.status \
             WHEN 3 THEN r.status IS DISTINCT FROM 'HELD' \
               OR o.deadline_at < now() - interval '15 seconds' \
             WHEN 4 THEN r.status IS NULL OR r.status = 'HELD' \
             WHEN 0 THEN r.status IN ('HELD', 'SOLD') \
               OR o.deadline_at < now() - interval '15 seconds' \
             WHEN 1 THEN true WHEN 6 THEN true WHEN 10 THEN true \
             WHEN 8 THEN r.status IN ('HELD', 'SOLD') OR NOT EXISTS (SELECT FROM orders.refunds \
               AS f WHERE f.order_no = o.order_no AND f.status = 2) \
             ELSE r.status IN ('HELD', 'SOLD') END \
         UNION ALL \
         SELECT o.order_no, 'the order and its hold have different lines' \
         FROM orders.orders AS o JOIN stock.reservations AS r ON r.order_no = o.order_no \
         WHERE ((o.status = 3 AND r.status = 'HELD') OR (o.status = 4 AND r.status = 'SOLD')) \
           AND (SELECT string_agg((l ->> 0) || 'x' || (l ->> 1), ',' ORDER BY l ->> 0) \
                FROM jsonb_array_elements(o.lines::jsonb) AS l) IS DISTINCT FROM \
               (SELECT string_agg(l.ticket || 'x' || l.qty, ',' ORDER BY l.ticket) \
                FROM jsonb_to_recordset(r.lines::jsonb) AS l(ticket text, qty text, state text) \
                WHERE l.state <> 'RELEASED')"
    };
}
/// RESERVED and HELD belong together, and so do CONFIRMED and SOLD, with the same lines. A
/// CONFIRMED order with a RELEASED hold is S3's.
fn q1(foreign: ForeignOrders) -> Check {
    let sql = match foreign {
        ForeignOrders::Refused => concat!(
            "SELECT r.order_no AS subject, 'its hold is ' || r.status || ', and there is no such \
             order' AS detail FROM stock.reservations AS r \
             WHERE r.status <> 'RELEASED' AND NOT EXISTS \
               (SELECT FROM orders.orders AS o WHERE o.order_no = r.order_no) UNION ALL ",
            q1_of_orders!()
        ),
        ForeignOrders::Allowed => q1_of_orders!(),
    };
    Check { id: "Q1", title: "no hold without a live order, and the reverse", sql }
}

/// Redis is not in the database: see `redis_keys`.
fn q2() -> Check {
    Check {
        id: Q2,
        title: "Redis = PostgreSQL for every order",
        sql: "SELECT ''::text AS subject, ''::text AS detail WHERE false",
    }
}

/// The provider's own books are asked besides: see `books`.
fn q3() -> Check {
    Check {
        id: Q3,
        title: "every captured payment is on a confirmed order or fully refunded",
        sql: "\
SELECT p.order_no || '-p' || p.seq AS subject, \
  format('captured %s %s, refunded %s, order status %s', coalesce(p.captured, p.amount), \
    p.currency, coalesce(r.back, 0), coalesce(o.status::text, 'none')) AS detail \
FROM orders.payments AS p \
LEFT JOIN orders.orders AS o ON o.order_no = p.order_no \
LEFT JOIN (SELECT order_no, payment_seq, sum(amount) FILTER (WHERE status = 1) AS back \
           FROM orders.refunds GROUP BY order_no, payment_seq) AS r \
  ON r.order_no = p.order_no AND r.payment_seq = p.seq \
WHERE p.status = 2 AND NOT (coalesce(o.status, -1) = 4 AND r.order_no IS NULL) \
  AND coalesce(r.back, 0) < coalesce(p.captured, p.amount) \
UNION ALL \
SELECT o.order_no, format('CONFIRMED, but nobody paid its %s %s', o.total, o.currency) \
FROM orders.orders AS o \
WHERE o.status = 4 AND NOT EXISTS (SELECT FROM orders.payments AS p \
  WHERE p.order_no = o.order_no AND p.status = 2 AND p.captured = o.total \
    AND p.currency = o.currency AND NOT EXISTS (SELECT FROM orders.refunds AS r \
      WHERE r.order_no = p.order_no AND r.payment_seq = p.seq))",
    }
}

/// Which group takes which tag, as the contract says.
macro_rules! takes {
    () => {
        "(VALUES ('ORDER_CREATE', 'order-intake'), ('ORDER_CREATED', 'stock-order'), \
           ('ORDER_PAID', 'stock-order'), ('ORDER_CANCELLED', 'stock-order'), \
           ('STOCK_DEDUCTED', 'order-stock'), ('STOCK_REJECTED', 'order-stock'), \
           ('STOCK_CONFIRMED', 'order-stock'), ('STOCK_ROLLED_BACK', 'order-stock'), \
           ('STOCK_DEDUCT', 'stock-command'), ('STOCK_ROLLBACK', 'stock-command'), \
           ('STOCK_SYNC', 'stock-command'), ('SALE_CHANGED', 'order-sale'), \
           ('SMS', 'notify-sms'), ('EMAIL', 'notify-email'), ('PUSH', 'notify-push'))"
    };
}

/// The events of one worker, each with whether its batch is published.
macro_rules! said {
    ($schema:literal) => {
        concat!(
            "SELECT '",
            $schema,
            "' AS name, o.event_id, o.tag, o.order_no, o.destination, o.consumer_group, \
               o.dead_reason, coalesce(b.attempts, 0) AS attempts, b.sent_at FROM ",
            $schema,
            ".outbox AS o LEFT JOIN ",
            $schema,
            ".outbox_batches AS b ON b.batch_id = o.batch_id"
        )
    };
}

/// Events that are published and have not reached a group that takes them: each with its group.
/// A row for one group alone (`destination` 1) is that group's; one that is dead-lettered (2) is
/// the archive's.
macro_rules! untaken {
    () => {
        concat!(
            "SELECT p.event_id, p.tag, p.order_no, p.taker FROM ( \
               SELECT o.event_id, o.tag, o.order_no, o.destination, \
                 CASE o.destination WHEN 0 THEN t.taker ELSE o.consumer_group END AS taker \
               FROM (",
            said!("orders"),
            " UNION ALL ",
            said!("stock"),
            " UNION ALL ",
            said!("notify"),
            ") AS o LEFT JOIN ",
            takes!(),
            " AS t(tag, taker) ON t.tag = o.tag \
               WHERE o.sent_at IS NOT NULL AND o.dead_reason IS NULL) AS p \
             WHERE p.taker IS NOT NULL AND NOT EXISTS (SELECT FROM ( \
                 SELECT consumer_group, event_id FROM orders.inbox \
                 UNION ALL SELECT consumer_group, event_id FROM stock.inbox \
                 UNION ALL SELECT consumer_group, event_id FROM notify.inbox) AS i \
               WHERE i.event_id = p.event_id AND i.consumer_group = p.taker \
                 AND p.destination <> 2) \
             AND NOT EXISTS (SELECT FROM dlq.dead_letters AS d \
               WHERE d.event_id = p.event_id AND d.consumer_group = p.taker)"
        )
    };
}
pub(super) use {said, takes, untaken};

fn q4() -> Check {
    Check {
        id: "Q4",
        title: "every event is published and taken by every group that takes it, or archived",
        sql: concat!(
            "SELECT 'event ' || o.event_id AS subject, CASE WHEN o.dead_reason IS NULL \
               THEN format('%s of %s %s is pending after %s attempts', o.tag, o.name, o.order_no, \
                 o.attempts) \
               ELSE format('%s of %s %s was refused: %s', o.tag, o.name, o.order_no, \
                 o.dead_reason) END AS detail \
             FROM (",
            said!("orders"),
            " UNION ALL ",
            said!("stock"),
            " UNION ALL ",
            said!("notify"),
            " UNION ALL ",
            said!("dlq"),
            ") AS o WHERE o.sent_at IS NULL OR o.dead_reason IS NOT NULL \
             UNION ALL \
             SELECT 'event ' || u.event_id, format('%s of %s never reached %s', u.tag, \
               u.order_no, u.taker) FROM (",
            untaken!(),
            ") AS u"
        ),
    }
}

fn q5() -> Check {
    Check {
        id: "Q5",
        title: "each transition that a buyer sees has one notification per chosen channel",
        sql: "\
SELECT e.id AS subject, 'was never recorded' AS detail \
FROM (SELECT o.order_no || '-' || CASE o.status WHEN 4 THEN 'confirmed' WHEN 5 THEN 'rejected' \
        WHEN 2 THEN 'cancelled' WHEN 7 THEN 'expired' ELSE 'refunded' || o.refund_count END \
        || '-' || c.channel AS id \
      FROM orders.orders AS o, unnest(string_to_array(nullif(o.channels, ''), ',')) AS c(channel) \
      WHERE o.status IN (2, 4, 5, 7, 9)) AS e \
WHERE NOT EXISTS (SELECT FROM notify.notifications AS n WHERE n.notification_id = e.id) \
UNION ALL \
SELECT n.order_no, format('%s was recorded %s times for %s', n.template, count(*), n.channel) \
FROM notify.notifications AS n \
WHERE n.order_no IS NOT NULL AND n.template IN ('order.confirmed', 'order.rejected', \
  'order.cancelled', 'order.expired') \
GROUP BY n.order_no, n.template, n.channel HAVING count(*) > 1 \
UNION ALL \
SELECT n.notification_id, format('says %s, but the order has status %s', n.template, o.status) \
FROM notify.notifications AS n JOIN orders.orders AS o ON o.order_no = n.order_no \
WHERE CASE n.template WHEN 'order.confirmed' THEN o.status <> 4 \
    WHEN 'order.rejected' THEN o.status NOT IN (5, 8, 9) \
    WHEN 'order.cancelled' THEN o.status NOT IN (2, 8, 9) \
    WHEN 'order.expired' THEN o.status NOT IN (7, 8, 9) \
    WHEN 'order.refunded' THEN o.refund_count = 0 ELSE false END \
UNION ALL \
SELECT n.notification_id, 'is still to be delivered' \
FROM notify.notifications AS n WHERE n.status = 'PENDING'",
    }
}

/// A replay that the broker has (`replayed`) ended well when its group's inbox knows the event.
fn q6() -> Check {
    Check {
        id: "Q6",
        title: "every dead letter ended in one of waiting, replayed-ok, replayed-failed, \
                discarded, refused",
        sql: "\
SELECT 'dead letter ' || d.id AS subject, \
  format('%s of %s is %s', d.tag, d.consumer_group, d.status) AS detail \
FROM dlq.dead_letters AS d \
WHERE d.status NOT IN ('waiting', 'replayed-ok', 'replayed-failed', 'discarded', 'refused') \
  AND NOT (d.status = 'replayed' AND EXISTS (SELECT FROM ( \
      SELECT consumer_group, event_id FROM orders.inbox \
      UNION ALL SELECT consumer_group, event_id FROM stock.inbox \
      UNION ALL SELECT consumer_group, event_id FROM notify.inbox) AS i \
    WHERE i.event_id = d.event_id AND i.consumer_group = d.consumer_group))",
    }
}
