-- +goose Up

-- Links that were taken away. Users cannot make them again by themselves.
CREATE TABLE dropgate_unlinked (
    user_id     TEXT   NOT NULL,
    customer_id TEXT   NOT NULL,
    unlinked_at BIGINT NOT NULL, -- Unix time in milliseconds
    PRIMARY KEY (user_id, customer_id)
);
