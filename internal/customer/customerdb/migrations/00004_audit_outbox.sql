-- +goose Up

-- Link changes without audit entries yet. Times are Unix times in milliseconds.
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
CREATE INDEX dropgate_audit_outbox_due ON dropgate_audit_outbox (due_at, id);
