package session

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// CheckWrites runs every command of this package's and ratelimit's scripts on each
// kind of key. It fails on a server that is read-only, full or a Redis Cluster, or
// that denies a command. It leaves nothing behind.
//
// The error contains the server's message, which may name a Redis user.
func CheckWrites(ctx context.Context, client redis.Scripter) error {
	kinds := []string{"session", "subject", "sid", "used", "logout", "epoch", "limit"}
	keys := make([]string, len(kinds))
	for i, kind := range kinds {
		keys[i] = "dropgate:" + kind + ":probe"
	}
	if err := redis.NewScript(text("checkwrites")).Run(ctx, client, keys).Err(); err != nil {
		return fmt.Errorf("writing to Redis: %w", err)
	}
	return nil
}
