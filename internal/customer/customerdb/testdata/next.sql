-- +goose Up

-- A migration as the next release may have it, with everything the rules of
-- docs/upgrades.md allow: new tables, indexes and columns that have a default. Tests put
-- the version before it in place of PREVIOUS: its binaries can still use the schema.
INSERT INTO dropgate_schema_version (version_id, is_applied) VALUES (-PREVIOUS, true);
ALTER TABLE dropgate_links ADD COLUMN account TEXT;
ALTER TABLE dropgate_events ADD COLUMN note TEXT NOT NULL DEFAULT '';
CREATE INDEX dropgate_links_account ON dropgate_links (account);
CREATE TABLE dropgate_accounts (id TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL);
