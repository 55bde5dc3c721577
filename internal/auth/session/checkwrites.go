package session

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// CheckWrites runs every command of this package's and ratelimit's scripts on each
// kind of key, in the slot of the hash tag. It fails on a server that is read-only or
// full, that denies a command, and on a Redis Cluster without a tag. It leaves nothing
// behind.
//
// The error contains the server's message, which may name a Redis user.
func CheckWrites(ctx context.Context, client redis.Scripter, tag string) error {
	kinds := []string{"session", "subject", "sid", "user", "used", "logout", "epoch", "limit"}
	keys := make([]string, len(kinds))
	for i, kind := range kinds {
		keys[i] = "dropgate:" + kind + ":" + tag + "probe"
	}
	if err := redis.NewScript(text("checkwrites")).Run(ctx, client, keys).Err(); err != nil {
		return fmt.Errorf("writing to Redis: %w", err)
	}
	return nil
}
