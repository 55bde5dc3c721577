-- +goose Up

-- Each Customer's last status from webhook events. All times are Unix times in
-- milliseconds.
CREATE TABLE dropgate_statuses (
    customer_id TEXT   NOT NULL PRIMARY KEY CHECK (customer_id = lower(customer_id)),
    status      TEXT   NOT NULL,
    changed_at  BIGINT NOT NULL -- by Dwolla's clock
);

-- The user of each correlation id.
CREATE TABLE dropgate_correlations (
    correlation_id TEXT   NOT NULL PRIMARY KEY,
    user_id        TEXT   NOT NULL,
    handed_out_at  BIGINT NOT NULL
);

-- The queue of webhook events, and settled events of the last days.
CREATE TABLE dropgate_events (
    id          TEXT    NOT NULL PRIMARY KEY,
    topic       TEXT    NOT NULL,
    customer_id TEXT    NOT NULL, -- '' for an event about no Customer
    created     BIGINT  NOT NULL, -- by Dwolla's clock
    received_at BIGINT  NOT NULL,
    due_at      BIGINT  NOT NULL, -- time of the next attempt; a lease delays it
    attempts    INTEGER NOT NULL DEFAULT 0,
    settled_at  BIGINT            -- NULL in the queue
);
CREATE INDEX dropgate_events_due ON dropgate_events (due_at) WHERE settled_at IS NULL;
CREATE INDEX dropgate_events_received ON dropgate_events (received_at);
