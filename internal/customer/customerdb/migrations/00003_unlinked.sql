-- +goose Up

-- Links an operator has removed. Users cannot enroll these pairs again.
CREATE TABLE dropgate_unlinked (
    user_id     TEXT   NOT NULL,
    customer_id TEXT   NOT NULL,
    unlinked_at BIGINT NOT NULL, -- Unix time in milliseconds
    PRIMARY KEY (user_id, customer_id)
);
