package session

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// CheckWrites reports whether the server of client accepts what the scripts of this
// package and of ratelimit do: each of their commands, on each kind of key, in one
// script that names several keys. So it fails for a server that answers but is
// read-only, full, a Redis Cluster, or lacks a permission. It leaves nothing behind.
//
// The error is the server's own. It may name a user of the server.
func CheckWrites(ctx context.Context, client redis.Scripter) error {
	kinds := []string{"session", "subject", "sid", "used", "logout", "epoch", "limit"}
	keys := make([]string, len(kinds))
	for i, kind := range kinds {
		keys[i] = "dropgate:" + kind + ":probe"
	}
	if err := redis.NewScript(text("probe")).Run(ctx, client, keys).Err(); err != nil {
		return fmt.Errorf("writing to Redis: %w", err)
	}
	return nil
}
