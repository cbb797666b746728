//! S1 to S8: what holds at every moment, in every snapshot.
//!
//! Order status numbers: 0 PENDING, 1 PAID, 2 CANCELLED, 3 RESERVED, 4 CONFIRMED, 5 REJECTED,
//! 6 EXPIRING, 7 EXPIRED, 8 REFUNDING, 9 REFUNDED, 10 REACQUIRING. Payment: 2 captured. Refund:
//! 0 requested, 1 succeeded, 2 manual (failed).

use super::check::Check;

pub(super) fn checks() -> [Check; 8] {
    [s1(), s2(), s3(), s4(), s5(), s6(), s7(), s8()]
}

/// The counters change only with holds, in one transaction: each must be the sum of its lines.
fn s1() -> Check {
    Check {
        id: "S1",
        title: "available >= 0 and available + reserved + sold = total, per ticket type",
        sql: "\
SELECT 'ticket type ' || coalesce(t.ticket_id, h.ticket_id) AS subject, \
  format('total %s, reserved %s, sold %s; the holds say %s and %s', coalesce(t.total, 0), \
    coalesce(t.reserved, 0), coalesce(t.sold, 0), coalesce(h.held, 0), coalesce(h.sold, 0)) \
    AS detail \
FROM stock.ticket_types AS t FULL JOIN ( \
  SELECT l.ticket AS ticket_id, sum(l.qty) FILTER (WHERE l.state = 'HELD') AS held, \
    sum(l.qty) FILTER (WHERE l.state = 'SOLD') AS sold \
  FROM stock.reservations AS r, \
    jsonb_to_recordset(r.lines::jsonb) AS l(ticket int8, qty int8, state text) \
  WHERE l.state <> 'RELEASED' GROUP BY l.ticket) AS h ON h.ticket_id = t.ticket_id \
WHERE t.ticket_id IS NULL OR t.reserved < 0 OR t.sold < 0 OR t.total - t.reserved - t.sold < 0 \
  OR t.reserved <> coalesce(h.held, 0) OR t.sold <> coalesce(h.sold, 0)",
    }
}

fn s2() -> Check {
    Check {
        id: "S2",
        title: "tickets on PAID or CONFIRMED orders never exceed the total",
        sql: "\
SELECT 'ticket type ' || p.ticket_id AS subject, \
  format('%s on paid orders, %s for sale', p.quantity, coalesce(t.total, 0)) AS detail \
FROM (SELECT (l ->> 0)::int8 AS ticket_id, sum((l ->> 1)::int8) AS quantity \
      FROM orders.orders AS o, jsonb_array_elements(o.lines::jsonb) AS l \
      WHERE o.status IN (1, 4) GROUP BY 1) AS p \
LEFT JOIN stock.ticket_types AS t ON t.ticket_id = p.ticket_id \
WHERE p.quantity > coalesce(t.total, 0)",
    }
}

/// A PAID order may lose its tickets to another service's rollback and is then refunded; a
/// CONFIRMED one never may.
fn s3() -> Check {
    Check {
        id: "S3",
        title: "no order is both paid for good and released",
        sql: "\
SELECT o.order_no AS subject, 'CONFIRMED, but its hold is RELEASED' AS detail \
FROM orders.orders AS o JOIN stock.reservations AS r ON r.order_no = o.order_no \
WHERE o.status = 4 AND r.status = 'RELEASED'",
    }
}

fn s4() -> Check {
    Check {
        id: "S4",
        title: "captured >= refunds that did not fail, per payment",
        sql: "\
SELECT r.order_no || '-p' || r.payment_seq AS subject, \
  format('captured %s, refunds %s', coalesce(p.captured, 0), r.refunds) AS detail \
FROM (SELECT order_no, payment_seq, sum(amount) AS refunds, min(currency) AS currency, \
        max(currency) AS other_currency \
      FROM orders.refunds WHERE status <> 2 GROUP BY order_no, payment_seq) AS r \
LEFT JOIN orders.payments AS p ON p.order_no = r.order_no AND p.seq = r.payment_seq \
  AND p.status = 2 \
WHERE r.refunds > coalesce(p.captured, 0) OR r.currency <> p.currency \
  OR r.other_currency <> p.currency",
    }
}

/// The refund is requested in the transaction that takes a capture too many.
fn s5() -> Check {
    Check {
        id: "S5",
        title: "at most one captured payment stays on an order",
        sql: "\
SELECT p.order_no AS subject, format('%s captured payments stay', count(*)) AS detail \
FROM orders.payments AS p \
WHERE p.status = 2 AND NOT EXISTS (SELECT FROM orders.refunds AS r \
  WHERE r.order_no = p.order_no AND r.payment_seq = p.seq) \
GROUP BY p.order_no HAVING count(*) > 1",
    }
}

/// The row keeps the time of each state and the outbox is the history: an end that did not stay
/// the end shows in them.
fn s6() -> Check {
    Check {
        id: "S6",
        title: "terminal states never change, except by a late capture and its refund",
        sql: "\
SELECT o.order_no AS subject, CASE \
    WHEN o.confirmed_at IS NOT NULL AND o.status <> 4 \
      THEN format('was CONFIRMED and has status %s', o.status) \
    WHEN o.confirmed_at IS NULL AND o.status = 4 THEN 'CONFIRMED, but never became it' \
    WHEN o.closed_at IS NULL THEN format('has ended with status %s, but never ended', o.status) \
    ELSE format('ended at %s and has status %s', o.closed_at, o.status) END AS detail \
FROM orders.orders AS o \
WHERE (o.confirmed_at IS NOT NULL) <> (o.status = 4) \
  OR (o.closed_at IS NULL AND o.status IN (2, 5, 7, 8, 9)) \
  OR (o.closed_at IS NOT NULL AND o.status NOT IN (2, 5, 7, 8, 9, 10)) \
UNION ALL \
SELECT c.order_no, format('ORDER_PAID at version %s, after ORDER_CANCELLED at version %s', \
    p.version, c.version) \
FROM (SELECT order_no, min(aggregate_version) AS version FROM orders.outbox \
      WHERE tag = 'ORDER_CANCELLED' GROUP BY order_no) AS c \
JOIN (SELECT order_no, max(aggregate_version) AS version FROM orders.outbox \
      WHERE tag = 'ORDER_PAID' GROUP BY order_no) AS p \
  ON p.order_no = c.order_no AND p.version > c.version",
    }
}

fn s7() -> Check {
    Check {
        id: "S7",
        title: "tickets held and sold per user are counted right and within the limit",
        sql: "\
SELECT format('user %s of session %s', coalesce(h.user_id, u.user_id), \
    coalesce(h.session_id, u.session_id)) AS subject, \
  format('%s in holds, %s counted, limit %s', coalesce(h.live, 0), coalesce(u.held, 0), \
    coalesce(s.per_user_limit::text, 'none')) AS detail \
FROM (SELECT r.session_id, r.user_id, \
        coalesce(sum(l.qty) FILTER (WHERE l.state <> 'RELEASED'), 0) AS live \
      FROM stock.reservations AS r, \
        jsonb_to_recordset(r.lines::jsonb) AS l(qty int8, state text) \
      WHERE r.user_id IS NOT NULL GROUP BY r.session_id, r.user_id) AS h \
FULL JOIN stock.user_holds AS u ON u.session_id = h.session_id AND u.user_id = h.user_id \
LEFT JOIN stock.sessions AS s ON s.session_id = coalesce(h.session_id, u.session_id) \
WHERE coalesce(h.live, 0) <> coalesce(u.held, 0) OR coalesce(h.live, 0) > s.per_user_limit",
    }
}

/// One decision says one thing of a kind: an event that is the cause of two facts of one kind
/// took effect twice. One that is a cause without an inbox row could.
fn s8() -> Check {
    Check {
        id: "S8",
        title: "each event has at most one effect in each consumer",
        sql: "\
SELECT 'event ' || f.causation_id AS subject, \
  format('is the cause of %s times %s of order %s', count(*), f.tag, f.order_no) AS detail \
FROM (SELECT causation_id, order_no, tag FROM orders.outbox \
      UNION ALL SELECT causation_id, order_no, tag FROM stock.outbox) AS f \
WHERE f.causation_id IS NOT NULL GROUP BY f.causation_id, f.order_no, f.tag HAVING count(*) > 1 \
UNION ALL \
SELECT 'event ' || o.causation_id, format('caused %s of order %s, but orders.inbox does not \
know it', o.tag, o.order_no) \
FROM orders.outbox AS o WHERE o.causation_id IS NOT NULL \
  AND NOT EXISTS (SELECT FROM orders.inbox AS i WHERE i.event_id = o.causation_id) \
UNION ALL \
SELECT 'event ' || o.causation_id, format('caused %s of order %s, but stock.inbox does not \
know it', o.tag, o.order_no) \
FROM stock.outbox AS o WHERE o.causation_id IS NOT NULL \
  AND NOT EXISTS (SELECT FROM stock.inbox AS i WHERE i.event_id = o.causation_id)",
    }
}
