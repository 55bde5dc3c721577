-- +goose Up

-- A later migration, which removes what the next release no longer uses.
INSERT INTO dropgate_schema_version (version_id, is_applied) VALUES (-PREVIOUS, true);
DROP TABLE dropgate_correlations;
