-- One row for each message that a consumer group could not take, however often it was delivered,
-- published again or replayed.
CREATE TABLE dlq.dead_letters (
    id               uuid        PRIMARY KEY,
    consumer_group   text        NOT NULL,
    -- From the envelope, or derived from topic, tag, key and body.
    event_id         uuid        NOT NULL,
    event_id_derived bool        NOT NULL,
    -- SHA-256 of tag, key and body: another service may use an event id twice.
    content_hash     bytea       NOT NULL,
    -- NULL when nothing says where it was first published; it can't be replayed then.
    origin_topic     text,
    tag              text        NOT NULL,
    -- RocketMQ's KEYS, as it came; empty without one.
    message_key      text        NOT NULL,
    -- The key, or what the body says.
    order_no         text,
    body             bytea       NOT NULL,
    -- A JSON object, as it came with the first death.
    properties       text        NOT NULL,
    status           text        NOT NULL
                     CHECK (status IN ('waiting', 'replaying', 'replayed', 'replayed-ok',
                                       'replayed-failed', 'discarded', 'refused')),
    status_reason    text,
    -- The token of whoever asked for it.
    status_by        text,
    status_at        timestamptz NOT NULL DEFAULT now(),
    -- Of the newest death.
    cause            text        NOT NULL,
    attempts         int4        NOT NULL,
    worker           text,
    worker_version   text,
    died_at          timestamptz NOT NULL,
    deaths           int4        NOT NULL DEFAULT 1,
    -- The earliest that it can have had an effect: decides whether an inbox still knows it.
    event_at         timestamptz NOT NULL,
    last_replay_id   uuid,
    archived_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (consumer_group, event_id, content_hash)
) WITH (fillfactor = 80);

CREATE INDEX dead_letters_group ON dlq.dead_letters (consumer_group, id);
CREATE INDEX dead_letters_status ON dlq.dead_letters (status, id);
-- A key may be longer than what an index takes.
CREATE INDEX dead_letters_order_no ON dlq.dead_letters (left(order_no, 128), id)
    WHERE order_no IS NOT NULL;

-- Each death of a dead letter: the first, and one for each replay that failed.
CREATE TABLE dlq.attempts (
    dead_letter_id   uuid        NOT NULL REFERENCES dlq.dead_letters (id),
    -- All zeros when it did not die in a replay.
    replay_id        uuid        NOT NULL,
    -- How many attempts had failed.
    attempt          int4        NOT NULL,
    cause            text        NOT NULL,
    -- The causes of all attempts, newest first, as they travelled.
    causes           text        NOT NULL,
    worker           text,
    worker_version   text,
    -- What the broker knows.
    message_id       text        NOT NULL,
    broker           text        NOT NULL,
    queue            int4        NOT NULL,
    queue_offset     int8        NOT NULL,
    reconsume_times  int4        NOT NULL,
    born_at          timestamptz NOT NULL,
    stored_at        timestamptz NOT NULL,
    archived_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (dead_letter_id, replay_id, attempt)
);

-- What an operator asked for: one dead letter, later many.
CREATE TABLE dlq.replays (
    replay_id    uuid        PRIMARY KEY,
    requested_by text        NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE dlq.replay_items (
    replay_id      uuid        NOT NULL REFERENCES dlq.replays (replay_id),
    dead_letter_id uuid        NOT NULL REFERENCES dlq.dead_letters (id),
    -- Of its outbox row, which is alone in it.
    batch_id       uuid        NOT NULL,
    -- NULL until it was sent.
    outcome        text        CHECK (outcome IN ('sent', 'failed')),
    reason         text,
    outcome_at     timestamptz,
    PRIMARY KEY (replay_id, dead_letter_id)
);

CREATE INDEX replay_items_dead_letter ON dlq.replay_items (dead_letter_id, replay_id);
CREATE INDEX replay_items_open ON dlq.replay_items (batch_id) WHERE outcome IS NULL;

-- What is said. Rows are added and later deleted; only a refused one is ever changed.
-- As with the inbox: what is added is deleted within days, so a vacuum before that is for nothing.
CREATE TABLE dlq.outbox (
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
CREATE INDEX outbox_batch ON dlq.outbox (batch_id);

-- What one transaction said, and whether the broker has all of it.
CREATE TABLE dlq.outbox_batches (
    batch_id    uuid        PRIMARY KEY,
    events      int4        NOT NULL,
    lease_until timestamptz NOT NULL,
    attempts    int4        NOT NULL DEFAULT 0,
    sent_at     timestamptz
);
CREATE INDEX outbox_batches_pending ON dlq.outbox_batches (lease_until) WHERE sent_at IS NULL;

-- The runtime of every worker purges it. The archive needs none: its own key absorbs duplicates.
CREATE TABLE dlq.inbox (
    consumer_group text        NOT NULL,
    event_id       uuid        NOT NULL,
    order_no       text        NOT NULL,
    outcome        int2        NOT NULL,
    seen_at        timestamptz NOT NULL DEFAULT now(),
    -- In this order any plan looks events up one by one.
    PRIMARY KEY (event_id, consumer_group)
) WITH (autovacuum_vacuum_insert_threshold = -1);

