-- orders: what order-worker owns. Every row on the hot path carries its session, so that the
-- tables can be distributed by it. No index on what changes: updates stay HOT, as long as a page has
-- room for a new version of each of its rows, because orders that came together change together.

CREATE TABLE orders.orders (
    order_no        text PRIMARY KEY,
    session_id      int8 NOT NULL,
    show_id         int8 NOT NULL,
    user_id         int8 NOT NULL,
    caller          text NOT NULL,
    idempotency_key text NOT NULL,
    request_hash    bytea NOT NULL,
    -- [[ticketId, quantity, "unitPrice"], …]
    lines           text NOT NULL,
    currency        text NOT NULL,
    total           numeric(19, 4) NOT NULL CHECK (total >= 0),
    -- the numbers of contracts::OrderStatus
    status          int4 NOT NULL,
    version         int8 NOT NULL,
    reason          text,
    payment_method  text,
    channels        text NOT NULL,
    created_at      timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    deadline_at     timestamptz NOT NULL,
    reserved_at     timestamptz,
    paid_at         timestamptz,
    confirmed_at    timestamptz,
    closed_at       timestamptz,
    payment_count   int2 NOT NULL DEFAULT 0,
    refund_count    int2 NOT NULL DEFAULT 0
) WITH (fillfactor = 45);

CREATE UNIQUE INDEX orders_creation ON orders.orders (session_id, caller, idempotency_key);
-- Never changes, and the sweep reads it from a low-water mark.
CREATE INDEX orders_deadline ON orders.orders (deadline_at);

CREATE TABLE orders.payments (
    order_no            text NOT NULL,
    seq                 int2 NOT NULL,
    session_id          int8 NOT NULL,
    method              text NOT NULL,
    amount              numeric(19, 4) NOT NULL,
    currency            text NOT NULL,
    -- 0 created, 1 pending, 2 captured, 3 failed, 4 closed
    status              int2 NOT NULL,
    provider_payment_id text,
    captured            numeric(19, 4),
    reason              text,
    created_at          timestamptz NOT NULL DEFAULT now(),
    updated_at          timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (order_no, seq)
) WITH (fillfactor = 70);

CREATE TABLE orders.refunds (
    order_no    text NOT NULL,
    seq         int2 NOT NULL,
    session_id  int8 NOT NULL,
    payment_seq int2 NOT NULL,
    amount      numeric(19, 4) NOT NULL,
    currency    text NOT NULL,
    -- 0 requested, 1 succeeded, 2 manual
    status      int2 NOT NULL,
    reason      text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (order_no, seq)
) WITH (fillfactor = 70);

-- What providers told us, kept for ever. applied_at is null while the effect waits.
CREATE TABLE orders.payment_events (
    provider    text NOT NULL,
    event_id    text NOT NULL,
    order_no    text NOT NULL,
    kind        text NOT NULL,
    body        bytea NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    applied_at  timestamptz,
    outcome     text,
    attempts    int4 NOT NULL DEFAULT 0,
    lease_until timestamptz,
    PRIMARY KEY (provider, event_id)
);
CREATE INDEX payment_events_parked ON orders.payment_events (lease_until)
    WHERE applied_at IS NULL AND outcome IS NULL;

-- Work at the provider; a row is deleted by the transaction that applies its answer.
CREATE TABLE orders.calls (
    call_id     text PRIMARY KEY,
    kind        int2 NOT NULL,
    order_no    text NOT NULL,
    session_id  int8 NOT NULL,
    payment_id  text NOT NULL,
    refund_id   text,
    method      text NOT NULL,
    amount      numeric(19, 4) NOT NULL,
    currency    text NOT NULL,
    attempts    int4 NOT NULL DEFAULT 0,
    lease_until timestamptz NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX calls_due ON orders.calls (lease_until);
CREATE INDEX calls_payment ON orders.calls (payment_id);

-- SALE_CHANGED, the newest version of each session.
CREATE TABLE orders.sale_sessions (
    session_id int8 PRIMARY KEY,
    version    int8 NOT NULL,
    body       bytea NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- Where the expiry sweep starts reading: every order with an earlier deadline is decided.
CREATE TABLE orders.expiry_mark (
    one       bool PRIMARY KEY DEFAULT true CHECK (one),
    low_water timestamptz NOT NULL
);
INSERT INTO orders.expiry_mark (low_water) VALUES ('-infinity');

-- What is said. Rows are added and later deleted; only a refused one is ever changed.
-- As with the inbox: what is added is deleted within days, so a vacuum before that is for nothing.
CREATE TABLE orders.outbox (
    batch_id          uuid NOT NULL,
    event_id          uuid NOT NULL,
    session_id        int8 NOT NULL,
    order_no          text NOT NULL,
    -- 0 topic, 1 one group's retry queue, 2 one group's dead-letter queue
    destination       int2 NOT NULL,
    topic             text NOT NULL,
    consumer_group    text,
    tag               text NOT NULL,
    body              bytea NOT NULL,
    aggregate_version int8 NOT NULL,
    occurred_at       timestamptz NOT NULL,
    causation_id      uuid,
    traceparent       text,
    properties        text,
    -- Why the broker refuses it for good.
    dead_reason       text
) WITH (autovacuum_vacuum_insert_threshold = -1);
CREATE INDEX outbox_batch ON orders.outbox (batch_id);
CREATE INDEX outbox_order ON orders.outbox (order_no);

-- What one transaction said, and whether the broker has all of it.
CREATE TABLE orders.outbox_batches (
    batch_id    uuid        PRIMARY KEY,
    events      int4        NOT NULL,
    lease_until timestamptz NOT NULL,
    attempts    int4        NOT NULL DEFAULT 0,
    sent_at     timestamptz
);
CREATE INDEX outbox_batches_pending ON orders.outbox_batches (lease_until) WHERE sent_at IS NULL;

CREATE TABLE orders.inbox (
    consumer_group text NOT NULL,
    event_id       uuid NOT NULL,
    order_no       text NOT NULL,
    -- 1 applied, 2 ignored
    outcome        int2 NOT NULL,
    seen_at        timestamptz NOT NULL DEFAULT now(),
    -- In this order any plan looks events up one by one.
    PRIMARY KEY (event_id, consumer_group)
) WITH (autovacuum_vacuum_insert_threshold = -1);

-- ANALYZE sorts the values of each column that it takes, again and again while a table grows: it is
-- told to take a small sample of what an index has, and nothing of what no statement looks up by.
DO $$
DECLARE
    alteration text;
BEGIN
    FOR alteration IN
        SELECT format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS %s', a.attrelid::regclass,
            a.attname, CASE WHEN EXISTS (SELECT 1 FROM pg_index AS i
                WHERE i.indrelid = a.attrelid AND a.attnum = ANY (i.indkey)) THEN 10 ELSE 0 END)
        FROM pg_attribute AS a
        WHERE a.attnum > 0 AND a.attrelid = ANY (ARRAY['orders.orders', 'orders.payments', 'orders.outbox', 'orders.inbox']::regclass[])
    LOOP
        EXECUTE alteration;
    END LOOP;
END $$;
