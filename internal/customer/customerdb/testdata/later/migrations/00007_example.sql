-- +goose Up

-- A later migration, which removes what only binaries before version 6 use.
INSERT INTO dropgate_schema_version (version_id, is_applied) VALUES (-7006, true);
DROP TABLE dropgate_correlations;
