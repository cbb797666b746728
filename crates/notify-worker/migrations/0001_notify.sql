-- One row for each notification, whoever asked for it and however often.
CREATE TABLE notify.notifications (
    notification_id text        PRIMARY KEY,
    session_id      int8        NOT NULL DEFAULT 0,
    order_no        text,
    user_id         int8,
    channel         text        NOT NULL CHECK (channel IN ('SMS', 'EMAIL', 'PUSH')),
    -- NULL for a finished text that another service sent.
    template        text,
    status          text        NOT NULL
                    CHECK (status IN ('PENDING', 'SENT', 'FAILED', 'SUPPRESSED', 'EXPIRED')),
    version         int8        NOT NULL,
    -- The delivery attempt that is under way, or was the last.
    attempt         int4        NOT NULL,
    -- The message as it came. It may hold an address and a text, so it is cleared as soon as
    -- nobody needs it to deliver: in every state but PENDING.
    body            bytea       CHECK (body IS NULL OR status = 'PENDING'),
    valid_until     timestamptz,
    created_at      timestamptz NOT NULL DEFAULT now(),
    sent_at         timestamptz,
    -- Never holds an address or a text.
    last_error      text
) WITH (fillfactor = 70);

CREATE INDEX notifications_order_no ON notify.notifications (order_no);

-- Deliveries that are to be made. There is a row exactly while its notification is PENDING.
CREATE TABLE notify.calls (
    notification_id text        PRIMARY KEY,
    kind            text        NOT NULL DEFAULT 'deliver' CHECK (kind = 'deliver'),
    channel         text        NOT NULL,
    attempt         int4        NOT NULL,
    -- How often the sweeper has claimed it: each time it is leased twice as long.
    claims          int4        NOT NULL DEFAULT 0,
    lease_until     timestamptz NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX calls_due ON notify.calls (channel, lease_until);

-- Where a person can be reached.
CREATE TABLE notify.recipients (
    user_id      int8        PRIMARY KEY,
    email        text,
    phone        text,
    device_token text,
    locale       text,
    updated_at   timestamptz NOT NULL DEFAULT now()
);

-- Who does not want to be reached on a channel.
CREATE TABLE notify.suppressions (
    user_id    int8        NOT NULL,
    channel    text        NOT NULL CHECK (channel IN ('SMS', 'EMAIL', 'PUSH')),
    reason     text,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, channel)
);

-- Texts that stand in for the built-in ones, or beside them.
CREATE TABLE notify.templates (
    template   text        NOT NULL,
    locale     text        NOT NULL,
    subject    text        NOT NULL,
    body       text        NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (template, locale)
);

-- What is said. Rows are added and later deleted; only a refused one is ever changed.
-- As with the inbox: what is added is deleted within days, so a vacuum before that is for nothing.
CREATE TABLE notify.outbox (
    batch_id          uuid        NOT NULL,
    event_id          uuid        NOT NULL,
    session_id        int8        NOT NULL,
    order_no          text        NOT NULL,
    destination       int2        NOT NULL,
    topic             text        NOT NULL,
    consumer_group    text,
    tag               text        NOT NULL,
    body              bytea       NOT NULL,
    aggregate_version int8        NOT NULL,
    occurred_at       timestamptz NOT NULL,
    causation_id      uuid,
    traceparent       text,
    properties        text,
    -- Why the broker refuses it for good.
    dead_reason       text
) WITH (autovacuum_vacuum_insert_threshold = -1);
CREATE INDEX outbox_batch ON notify.outbox (batch_id);
CREATE INDEX outbox_order_no ON notify.outbox (order_no);

-- What one transaction said, and whether the broker has all of it.
CREATE TABLE notify.outbox_batches (
    batch_id    uuid        PRIMARY KEY,
    events      int4        NOT NULL,
    lease_until timestamptz NOT NULL,
    attempts    int4        NOT NULL DEFAULT 0,
    sent_at     timestamptz
);
CREATE INDEX outbox_batches_pending ON notify.outbox_batches (lease_until) WHERE sent_at IS NULL;

CREATE TABLE notify.inbox (
    consumer_group text        NOT NULL,
    event_id       uuid        NOT NULL,
    order_no       text        NOT NULL,
    outcome        int2        NOT NULL,
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
        WHERE a.attnum > 0 AND a.attrelid = ANY (ARRAY['notify.notifications', 'notify.outbox', 'notify.inbox']::regclass[])
    LOOP
        EXECUTE alteration;
    END LOOP;
END $$;
