-- +goose Up

-- How often operators have unlinked a user. The count orders attempts to link
-- and unlinks, without a clock.
CREATE TABLE dropgate_unlinks (
    id      INTEGER NOT NULL PRIMARY KEY CHECK (id = 1), -- the only row
    unlinks BIGINT  NOT NULL
);
INSERT INTO dropgate_unlinks (id, unlinks) VALUES (1, 0);

-- The last unlink of each user, also of a user without a link at that time. An
-- attempt to link that began earlier fails.
CREATE TABLE dropgate_unlinked_users (
    user_id     TEXT   NOT NULL PRIMARY KEY,
    unlinks     BIGINT NOT NULL, -- dropgate_unlinks after it
    unlinked_at BIGINT NOT NULL  -- Unix time in milliseconds
);

-- dropgate_unlinks when the event was received.
ALTER TABLE dropgate_events ADD COLUMN unlinks BIGINT NOT NULL DEFAULT 0;
