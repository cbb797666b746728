-- Finished orders of another session, as a year of sales would leave them: :n orders that were
-- cancelled, so that Redis has nothing to know of them. Their events are purged. Everything adds up
-- for the audit.
INSERT INTO stock.shows (show_id, name) VALUES (9, 'Aged');
INSERT INTO stock.sessions (session_id, show_id, name, version, state, currency)
  VALUES (9, 9, 'Long ago', 1, 'closed', 'EUR');
INSERT INTO stock.ticket_types (ticket_id, session_id, name, unit_price, total)
  VALUES (91, 9, 'Any', 49.50, :n);

INSERT INTO orders.orders (order_no, session_id, show_id, user_id, caller, idempotency_key,
    request_hash, lines, currency, total, status, version, reason, channels, created_at,
    expires_at, deadline_at, reserved_at, closed_at)
  SELECT '00' || lpad(i::text, 24, '0'), 9, 9, i, 'aged', 'aged-' || lpad(i::text, 10, '0'),
      decode(md5(i::text), 'hex')
      || decode(md5(i::text), 'hex'), '[[91,1,"49.50"]]', 'EUR', 49.50, 2, 3, 'user', 'EMAIL',
    t, t + interval '15 min', t + interval '16 min', t, t
  FROM generate_series(1, :n) AS i, LATERAL (SELECT now() - interval '2 days' AS t) AS at;
INSERT INTO stock.reservations (order_no, session_id, user_id, status, hold, version, currency,
    lines, created_at, updated_at)
  SELECT order_no, 9, user_id, 'RELEASED', 1, 2, 'EUR',
    '[{"ticket":91,"qty":1,"state":"RELEASED","unit_price":"49.50"}]', created_at, created_at
  FROM orders.orders WHERE session_id = 9;
INSERT INTO stock.user_holds (session_id, user_id, held)
  SELECT 9, i, 0 FROM generate_series(1, :n) AS i;
INSERT INTO notify.notifications (notification_id, session_id, order_no, user_id, channel,
    template, status, version, attempt, created_at, sent_at)
  SELECT order_no || '-cancelled-EMAIL', 9, order_no, user_id, 'EMAIL', 'order.cancelled', 'SENT',
    2, 1, created_at, created_at FROM orders.orders WHERE session_id = 9;
UPDATE orders.expiry_mark SET low_water = now() - interval '1 day';
