-- A small sale after which all is quiet and every invariant holds. An event's id is the hash of
-- its order and tag.
INSERT INTO stock.shows (show_id, name) VALUES (1, 'Show');
INSERT INTO stock.sessions (session_id, show_id, name, version, state, currency, per_user_limit)
  VALUES (7, 1, 'Evening', 1, 'open', 'EUR', 4);
INSERT INTO stock.ticket_types (ticket_id, session_id, name, unit_price, total, reserved, sold,
  epoch) VALUES (70, 7, 'Floor', 10, 100, 1, 3, 1);

-- A and G are confirmed (G paid twice), B waits for its buyer, C was cancelled, D expired,
-- E was sold out, F expired and was paid too late.
INSERT INTO orders.orders (order_no, session_id, show_id, user_id, caller, idempotency_key,
    request_hash, lines, currency, total, status, version, reason, payment_method, channels,
    created_at, expires_at, deadline_at, reserved_at, paid_at, confirmed_at, closed_at,
    payment_count, refund_count)
  SELECT no, 7, 1, user_id, 'web', no, '', '[[70,' || quantity || ',"10.00"]]', 'EUR',
    quantity * 10, status, 5, reason, NULL, 'EMAIL', now(), now() + interval '15 minutes',
    now() + interval '16 minutes',
    CASE WHEN no <> 'E' THEN now() END, CASE WHEN status = 4 THEN now() END,
    CASE WHEN status = 4 THEN now() END, CASE WHEN status IN (2, 5, 7, 9) THEN now() END,
    payments, refunds
  FROM (VALUES ('A', 1, 2, 4, NULL, 1, 0), ('B', 2, 1, 3, NULL, 0, 0),
    ('C', 3, 1, 2, 'user', 0, 0), ('D', 4, 1, 7, 'expired', 0, 0),
    ('E', 5, 1, 5, 'sold_out', 0, 0), ('F', 6, 1, 9, 'expired', 1, 1),
    ('G', 7, 1, 4, NULL, 2, 1))
    AS o(no, user_id, quantity, status, reason, payments, refunds);
INSERT INTO orders.payments (order_no, seq, session_id, method, amount, currency, status, captured)
  VALUES ('A', 1, 7, 'sandbox', 20, 'EUR', 2, 20), ('F', 1, 7, 'sandbox-late', 10, 'EUR', 2, 10),
    ('G', 1, 7, 'sandbox', 10, 'EUR', 2, 10), ('G', 2, 7, 'sandbox-instant', 10, 'EUR', 2, 10);
INSERT INTO orders.refunds (order_no, seq, session_id, payment_seq, amount, currency, status,
    reason)
  VALUES ('F', 1, 7, 1, 10, 'EUR', 1, 'paid too late'), ('G', 1, 7, 2, 10, 'EUR', 1, 'paid twice');

INSERT INTO stock.reservations (order_no, session_id, user_id, status, hold, version, currency,
    lines, reason)
  SELECT no, 7, user_id, status, 1, 2, 'EUR',
    format('[{"ticket":70,"qty":%s,"state":"%s","unit_price":"10.00"}]', quantity, status), reason
  FROM (VALUES ('A', 1, 2, 'SOLD', NULL), ('B', 2, 1, 'HELD', NULL), ('C', 3, 1, 'RELEASED', NULL),
    ('D', 4, 1, 'RELEASED', NULL), ('E', 5, 0, 'RELEASED', 'sold_out'),
    ('F', 6, 1, 'RELEASED', NULL), ('G', 7, 1, 'SOLD', NULL))
    AS r(no, user_id, quantity, status, reason);
INSERT INTO stock.user_holds (session_id, user_id, held)
  VALUES (7, 1, 2), (7, 2, 1), (7, 3, 0), (7, 4, 0), (7, 6, 0), (7, 7, 1);

INSERT INTO orders.outbox (batch_id, event_id, session_id, order_no, destination, topic, tag, body,
    aggregate_version, occurred_at, causation_id)
  SELECT md5(no || tag)::uuid, md5(no || tag)::uuid, 7, no, 0, 'T', tag, '{}', version, now(),
    md5(no || cause)::uuid
  FROM (
    SELECT no, 'ORDER_CREATED' AS tag, 1 AS version, NULL AS cause
      FROM unnest(ARRAY['A', 'B', 'C', 'D', 'E', 'F', 'G']) AS no
    UNION ALL SELECT no, 'ORDER_PAID', 3, NULL FROM unnest(ARRAY['A', 'G']) AS no
    UNION ALL SELECT no, 'ORDER_CANCELLED', 3, NULL FROM unnest(ARRAY['C', 'D', 'F']) AS no
    UNION ALL SELECT 'E', 'ORDER_CANCELLED', 2, 'STOCK_REJECTED'
    UNION ALL SELECT no, 'EMAIL', 4, 'STOCK_CONFIRMED' FROM unnest(ARRAY['A', 'G']) AS no
    UNION ALL SELECT no, 'EMAIL', 3, NULL FROM unnest(ARRAY['C', 'D', 'F']) AS no
    UNION ALL SELECT 'E', 'EMAIL', 2, 'STOCK_REJECTED') AS e;
INSERT INTO stock.outbox (batch_id, event_id, session_id, order_no, destination, topic, tag, body,
    aggregate_version, occurred_at, causation_id)
  SELECT md5(no || tag)::uuid, md5(no || tag)::uuid, 7, no, 0, 'T', tag, '{}', version, now(),
    md5(no || cause)::uuid
  FROM (
    SELECT no, 'STOCK_DEDUCTED' AS tag, 1 AS version, 'ORDER_CREATED' AS cause
      FROM unnest(ARRAY['A', 'B', 'C', 'D', 'F', 'G']) AS no
    UNION ALL SELECT 'E', 'STOCK_REJECTED', 1, 'ORDER_CREATED'
    UNION ALL SELECT no, 'STOCK_CONFIRMED', 2, 'ORDER_PAID' FROM unnest(ARRAY['A', 'G']) AS no
    UNION ALL SELECT no, 'STOCK_ROLLED_BACK', 2, 'ORDER_CANCELLED'
      FROM unnest(ARRAY['C', 'D', 'F']) AS no
    UNION ALL SELECT '7', 'SALE_CHANGED', 1, NULL) AS e;
INSERT INTO orders.outbox_batches (batch_id, events, lease_until, sent_at)
  SELECT batch_id, 1, now(), now() FROM orders.outbox;
INSERT INTO stock.outbox_batches (batch_id, events, lease_until, sent_at)
  SELECT batch_id, 1, now(), now() FROM stock.outbox;
INSERT INTO stock.inbox (consumer_group, event_id, order_no, outcome)
  SELECT 'stock-order', event_id, order_no, 1 FROM orders.outbox WHERE tag LIKE 'ORDER%';
INSERT INTO orders.inbox (consumer_group, event_id, order_no, outcome)
  SELECT CASE tag WHEN 'SALE_CHANGED' THEN 'order-sale' ELSE 'order-stock' END, event_id,
    order_no, 1 FROM stock.outbox;
INSERT INTO notify.inbox (consumer_group, event_id, order_no, outcome)
  SELECT 'notify-email', event_id, order_no, 1 FROM orders.outbox WHERE tag = 'EMAIL';

INSERT INTO notify.notifications (notification_id, session_id, order_no, user_id, channel,
    template, status, version, attempt, sent_at)
  SELECT no || '-' || word || '-EMAIL', 7, no, 1, 'EMAIL',
    'order.' || rtrim(word, '1'), 'SENT', 1, 1, now()
  FROM (VALUES ('A', 'confirmed'), ('C', 'cancelled'), ('D', 'expired'), ('E', 'rejected'),
    ('F', 'expired'), ('F', 'refunded1'), ('G', 'confirmed')) AS n(no, word);
