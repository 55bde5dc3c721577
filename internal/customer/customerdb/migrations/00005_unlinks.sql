-- +goose Up

-- The number of unlinks by operators. It orders attempts to link and unlinks
-- without a clock.
CREATE TABLE dropgate_unlinks (
    id      INTEGER NOT NULL PRIMARY KEY CHECK (id = 1), -- the only row
    unlinks BIGINT  NOT NULL
);
INSERT INTO dropgate_unlinks (id, unlinks) VALUES (1, 0);

-- The last unlink of each user, even of a user without a link. Attempts to link
-- that began earlier fail.
CREATE TABLE dropgate_unlinked_users (
    user_id     TEXT   NOT NULL PRIMARY KEY,
    unlinks     BIGINT NOT NULL, -- dropgate_unlinks after it
    unlinked_at BIGINT NOT NULL  -- Unix time in milliseconds
);

-- The count at the receipt of the event.
ALTER TABLE dropgate_events ADD COLUMN unlinks BIGINT NOT NULL DEFAULT 0;
