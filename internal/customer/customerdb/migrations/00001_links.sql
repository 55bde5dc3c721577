-- +goose Up

-- SQLite and PostgreSQL run the same statements. There is no down migration: it
-- would delete links.

-- These constraints keep links one to one. Nothing else does.
CREATE TABLE dropgate_links (
    user_id     TEXT   NOT NULL PRIMARY KEY,
    customer_id TEXT   NOT NULL UNIQUE CHECK (length(customer_id) = 36 AND customer_id = lower(customer_id)),
    linked_at   BIGINT NOT NULL -- Unix time in milliseconds
);

-- If two processes run the same migration concurrently, the second transaction
-- fails here, whatever the migration does (migrate.go).
CREATE UNIQUE INDEX dropgate_schema_version_once ON dropgate_schema_version (version_id);
