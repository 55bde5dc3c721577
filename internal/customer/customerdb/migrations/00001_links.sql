-- +goose Up

-- The same statements serve SQLite and PostgreSQL. There is no way down: it
-- would forget whose Customer is whose.

-- Uniqueness in both directions is promised here and nowhere else.
CREATE TABLE dropgate_links (
    user_id     TEXT   NOT NULL PRIMARY KEY,
    customer_id TEXT   NOT NULL UNIQUE CHECK (length(customer_id) = 36 AND customer_id = lower(customer_id)),
    linked_at   BIGINT NOT NULL -- Unix time in milliseconds
);

-- Two processes that run the same migration at once: the second one's
-- transaction fails here, whatever the migration does (migrate.go).
CREATE UNIQUE INDEX dropgate_schema_version_once ON dropgate_schema_version (version_id);
