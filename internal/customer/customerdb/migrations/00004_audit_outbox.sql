-- +goose Up

-- Changed links, from the commit of the change until the audit trail has its
-- entry. Times are Unix times in milliseconds.
CREATE TABLE dropgate_audit_outbox (
    id          TEXT   NOT NULL PRIMARY KEY,
    change      TEXT   NOT NULL, -- linked or unlinked
    user_id     TEXT   NOT NULL,
    customer_id TEXT   NOT NULL,
    changed_at  BIGINT NOT NULL,
    reason      TEXT   NOT NULL,
    cause       TEXT   NOT NULL, -- a JSON object: who changed it
    due_at      BIGINT NOT NULL  -- when to write the entry; a lease moves it on
);
CREATE INDEX dropgate_audit_outbox_due ON dropgate_audit_outbox (due_at, id);
