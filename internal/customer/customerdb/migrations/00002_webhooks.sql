-- +goose Up

-- What Dwolla said last about a Customer. Times are Unix times in milliseconds,
-- here and below.
CREATE TABLE dropgate_statuses (
    customer_id TEXT   NOT NULL PRIMARY KEY CHECK (customer_id = lower(customer_id)),
    status      TEXT   NOT NULL,
    changed_at  BIGINT NOT NULL -- by Dwolla's clock
);

-- Which user each correlation id was handed out to.
CREATE TABLE dropgate_correlations (
    correlation_id TEXT   NOT NULL PRIMARY KEY,
    user_id        TEXT   NOT NULL,
    handed_out_at  BIGINT NOT NULL
);

-- The queue of webhooks, and the memory of those that were used.
CREATE TABLE dropgate_events (
    id          TEXT    NOT NULL PRIMARY KEY,
    topic       TEXT    NOT NULL,
    customer_id TEXT    NOT NULL, -- '' where the event is about none
    created     BIGINT  NOT NULL, -- by Dwolla's clock
    received_at BIGINT  NOT NULL,
    due_at      BIGINT  NOT NULL, -- when to try next; a lease moves it on
    attempts    INTEGER NOT NULL DEFAULT 0,
    settled_at  BIGINT            -- NULL while it is in the queue
);
CREATE INDEX dropgate_events_due ON dropgate_events (due_at) WHERE settled_at IS NULL;
CREATE INDEX dropgate_events_received ON dropgate_events (received_at);
