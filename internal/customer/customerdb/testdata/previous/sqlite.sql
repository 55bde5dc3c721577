-- The schema of the previous release in SQLite, without rows (.dump of revision 42ec7f0).
-- docs/upgrades.md says when to replace it.
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE dropgate_schema_version (
		id INTEGER PRIMARY KEY AUTOINCREMENT,
		version_id INTEGER NOT NULL,
		is_applied INTEGER NOT NULL,
		tstamp TIMESTAMP DEFAULT (datetime('now'))
	);
INSERT INTO dropgate_schema_version VALUES(1,0,1,'2026-11-29 08:37:10');
INSERT INTO dropgate_schema_version VALUES(2,1,1,'2026-11-29 08:37:10');
INSERT INTO dropgate_schema_version VALUES(3,2,1,'2026-11-29 08:37:10');
INSERT INTO dropgate_schema_version VALUES(4,3,1,'2026-11-29 08:37:10');
INSERT INTO dropgate_schema_version VALUES(5,4,1,'2026-11-29 08:37:10');
INSERT INTO dropgate_schema_version VALUES(6,5,1,'2026-11-29 08:37:10');
CREATE TABLE dropgate_links (
    user_id     TEXT   NOT NULL PRIMARY KEY,
    customer_id TEXT   NOT NULL UNIQUE CHECK (length(customer_id) = 36 AND customer_id = lower(customer_id)),
    linked_at   BIGINT NOT NULL -- Unix time in milliseconds
);
CREATE TABLE dropgate_statuses (
    customer_id TEXT   NOT NULL PRIMARY KEY CHECK (customer_id = lower(customer_id)),
    status      TEXT   NOT NULL,
    changed_at  BIGINT NOT NULL -- by Dwolla's clock
);
CREATE TABLE dropgate_correlations (
    correlation_id TEXT   NOT NULL PRIMARY KEY,
    user_id        TEXT   NOT NULL,
    handed_out_at  BIGINT NOT NULL
);
CREATE TABLE dropgate_events (
    id          TEXT    NOT NULL PRIMARY KEY,
    topic       TEXT    NOT NULL,
    customer_id TEXT    NOT NULL, -- '' for an event about no Customer
    created     BIGINT  NOT NULL, -- by Dwolla's clock
    received_at BIGINT  NOT NULL,
    due_at      BIGINT  NOT NULL, -- time of the next attempt; a lease delays it
    attempts    INTEGER NOT NULL DEFAULT 0,
    settled_at  BIGINT            -- NULL in the queue
, unlinks BIGINT NOT NULL DEFAULT 0);
CREATE TABLE dropgate_unlinked (
    user_id     TEXT   NOT NULL,
    customer_id TEXT   NOT NULL,
    unlinked_at BIGINT NOT NULL, -- Unix time in milliseconds
    PRIMARY KEY (user_id, customer_id)
);
CREATE TABLE dropgate_audit_outbox (
    id          TEXT   NOT NULL PRIMARY KEY,
    change      TEXT   NOT NULL, -- linked or unlinked
    user_id     TEXT   NOT NULL,
    customer_id TEXT   NOT NULL,
    changed_at  BIGINT NOT NULL,
    reason      TEXT   NOT NULL,
    cause       TEXT   NOT NULL, -- a JSON object: who made the change
    due_at      BIGINT NOT NULL  -- time to write the entry; a lease delays it
);
CREATE TABLE dropgate_unlinks (
    id      INTEGER NOT NULL PRIMARY KEY CHECK (id = 1), -- the only row
    unlinks BIGINT  NOT NULL
);
INSERT INTO dropgate_unlinks VALUES(1,0);
CREATE TABLE dropgate_unlinked_users (
    user_id     TEXT   NOT NULL PRIMARY KEY,
    unlinks     BIGINT NOT NULL, -- dropgate_unlinks after it
    unlinked_at BIGINT NOT NULL  -- Unix time in milliseconds
);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('dropgate_schema_version',6);
CREATE UNIQUE INDEX dropgate_schema_version_once ON dropgate_schema_version (version_id);
CREATE INDEX dropgate_events_due ON dropgate_events (due_at) WHERE settled_at IS NULL;
CREATE INDEX dropgate_events_received ON dropgate_events (received_at);
CREATE INDEX dropgate_audit_outbox_due ON dropgate_audit_outbox (due_at, id);
COMMIT;
