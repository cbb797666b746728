-- Stock: what is for sale, who holds or has bought it, and the facts about it on their way out.
-- The schema itself is created by `stock-worker migrate`.

CREATE TABLE stock.shows (
    show_id    bigint PRIMARY KEY,
    name       text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE stock.sessions (
    session_id        bigint PRIMARY KEY,
    show_id           bigint NOT NULL REFERENCES stock.shows,
    name              text NOT NULL,
    -- Of SALE_CHANGED: grows with every change of the sale.
    version           bigint NOT NULL DEFAULT 0,
    state             text NOT NULL DEFAULT 'draft' CHECK (state IN ('draft', 'open', 'closed')),
    sale_starts_at    timestamptz,
    sale_ends_at      timestamptz,
    currency          text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    hold_seconds      integer CHECK (hold_seconds > 0),
    per_user_limit    integer CHECK (per_user_limit > 0),
    -- The epoch of the last load of Redis that went to its end.
    loaded_epoch      bigint NOT NULL DEFAULT 0,
    -- When the sold-out flags were published last: the timer's limit is on it.
    flags_at          timestamptz NOT NULL DEFAULT '-infinity',
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX sessions_show ON stock.sessions (show_id);

-- One hot row per ticket type: updated once per batch, so HOT updates matter most here.
CREATE TABLE stock.ticket_types (
    ticket_id       bigint PRIMARY KEY,
    session_id      bigint NOT NULL REFERENCES stock.sessions,
    name            text NOT NULL,
    unit_price      numeric(19, 4) NOT NULL CHECK (unit_price >= 0),
    per_order_limit integer CHECK (per_order_limit BETWEEN 1 AND 1000),
    total           bigint NOT NULL,
    reserved        bigint NOT NULL DEFAULT 0,
    sold            bigint NOT NULL DEFAULT 0,
    -- Which filling of the session's Redis keys is the right one; the same for all its types.
    epoch           bigint NOT NULL DEFAULT 0,
    -- As it was last published in SALE_CHANGED.
    sold_out        boolean NOT NULL DEFAULT false,
    CONSTRAINT ticket_types_stock CHECK (reserved >= 0 AND sold >= 0 AND reserved + sold <= total)
) WITH (fillfactor = 10);
CREATE INDEX ticket_types_session ON stock.ticket_types (session_id);

-- One row per order that asked for stock, tombstones and refusals included.
CREATE TABLE stock.reservations (
    order_no   text PRIMARY KEY,
    -- 0 when the order named no session that is known.
    session_id bigint NOT NULL,
    user_id    bigint,
    status     text NOT NULL CHECK (status IN ('HELD', 'SOLD', 'RELEASED')),
    hold       integer NOT NULL,
    version    bigint NOT NULL,
    currency   text,
    -- JSON: [{"ticket", "qty", "state": "HELD" | "SOLD" | "RELEASED", "unit_price"}].
    lines      text NOT NULL,
    -- Why it was refused; null when it was not.
    reason     text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 45);
-- On columns that never change: updates stay HOT. For loading a session into Redis.
CREATE INDEX reservations_session ON stock.reservations (session_id, order_no);

-- Tickets that a user holds or has bought, by session. No CHECK on `held`: it would look at what an
-- upsert proposes, and a batch that gives back proposes a negative number.
CREATE TABLE stock.user_holds (
    session_id bigint NOT NULL,
    user_id    bigint NOT NULL,
    held       bigint NOT NULL,
    PRIMARY KEY (session_id, user_id)
) WITH (fillfactor = 70);

-- What is said. Rows are added and later deleted; only a refused one is ever changed.
-- As with the inbox: what is added is deleted within days, so a vacuum before that is for nothing.
CREATE TABLE stock.outbox (
    batch_id          uuid NOT NULL,
    event_id          uuid NOT NULL,
    session_id        bigint NOT NULL,
    order_no          text NOT NULL,
    destination       smallint NOT NULL,
    topic             text NOT NULL,
    consumer_group    text,
    tag               text NOT NULL,
    body              bytea NOT NULL,
    aggregate_version bigint NOT NULL,
    occurred_at       timestamptz NOT NULL,
    causation_id      uuid,
    traceparent       text,
    properties        text,
    -- Why the broker refuses it for good.
    dead_reason       text
) WITH (autovacuum_vacuum_insert_threshold = -1);
CREATE INDEX outbox_batch ON stock.outbox (batch_id);
CREATE INDEX outbox_order_no ON stock.outbox (order_no);

-- What one transaction said, and whether the broker has all of it.
CREATE TABLE stock.outbox_batches (
    batch_id    uuid        PRIMARY KEY,
    events      integer     NOT NULL,
    lease_until timestamptz NOT NULL,
    attempts    integer     NOT NULL DEFAULT 0,
    sent_at     timestamptz
);
CREATE INDEX outbox_batches_pending ON stock.outbox_batches (lease_until) WHERE sent_at IS NULL;

CREATE TABLE stock.inbox (
    consumer_group text NOT NULL,
    event_id       uuid NOT NULL,
    order_no       text NOT NULL,
    outcome        smallint NOT NULL,
    seen_at        timestamptz NOT NULL DEFAULT now(),
    -- In this order any plan looks events up one by one.
    PRIMARY KEY (event_id, consumer_group)
) WITH (autovacuum_vacuum_insert_threshold = -1);

-- What an operator should look at: nothing here changes stock by itself.
CREATE TABLE stock.repairs (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind       text NOT NULL,
    -- The order, or what else it is about.
    subject    text NOT NULL,
    session_id bigint,
    detail     text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX repairs_subject ON stock.repairs (subject);

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
        WHERE a.attnum > 0 AND a.attrelid = ANY (ARRAY['stock.reservations', 'stock.outbox', 'stock.inbox']::regclass[])
    LOOP
        EXECUTE alteration;
    END LOOP;
END $$;
