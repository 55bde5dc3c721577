package session

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// ErrUnknownSettings means that the server hides its settings. Managed servers do,
// and users may lack the permission.
var ErrUnknownSettings = errors.New("the server does not show its settings")

// RiskySettings describes settings of the server that let an ended session come
// back when all replicas restart together with Redis. It only reads. The error is
// ErrUnknownSettings, or an outage.
func (r *Redis) RiskySettings(ctx context.Context) ([]string, error) {
	cluster, ok := r.config.Client.(*redis.ClusterClient)
	if !ok {
		return riskySettings(ctx, r.config.Client)
	}
	var mu sync.Mutex
	var all []string
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		found, err := riskySettings(ctx, node)
		mu.Lock()
		defer mu.Unlock()
		all = append(all, found...)
		return err
	})
	if err != nil && !errors.Is(err, ErrUnknownSettings) {
		err = fmt.Errorf("asking the nodes for their settings: %w", err)
	}
	slices.Sort(all)
	return slices.Compact(all), err
}

// riskySettings asks one server.
func riskySettings(ctx context.Context, server redis.Cmdable) ([]string, error) {
	settings := map[string]string{}
	for _, name := range []string{"save", "appendonly", "appendfsync", "maxmemory", "maxmemory-policy", "min-replicas-to-write"} {
		found, err := server.ConfigGet(ctx, name).Result()
		if err != nil {
			return nil, settingsError(err)
		}
		maps.Copy(settings, found)
	}
	info, err := server.Info(ctx, "replication").Result()
	if err != nil {
		return nil, settingsError(err)
	}
	found := risky(settings)
	if !strings.Contains(info, "connected_slaves:0\r") && settings["min-replicas-to-write"] == "0" {
		found = append(found, "there are replicas and min-replicas-to-write is 0: a failover can restore sessions that ended just before; set min-replicas-to-write 1")
	}
	return found, nil
}

// settingsError returns ErrUnknownSettings for a refusal by the server.
func settingsError(err error) error {
	if refused, ok := errors.AsType[redis.Error](err); ok {
		return fmt.Errorf("%w: %w", ErrUnknownSettings, refused)
	}
	return fmt.Errorf("asking Redis for its settings: %w", err)
}

func risky(settings map[string]string) []string {
	var found []string
	appends := settings["appendonly"] == "yes"
	if settings["save"] != "" && !appends {
		found = append(found, "save is on and appendonly is off: a restart restores sessions that ended after the snapshot; set save to nothing, or appendonly yes and appendfsync always")
	}
	if appends && settings["appendfsync"] != "always" {
		found = append(found, "appendfsync is "+settings["appendfsync"]+": a crash can restore sessions that ended in the last second; set appendfsync always")
	}
	if settings["maxmemory"] != "0" && settings["maxmemory-policy"] != "noeviction" {
		found = append(found, "maxmemory-policy is "+settings["maxmemory-policy"]+": a full server ends sessions, and forgets logouts and used sign-ins; set maxmemory-policy noeviction")
	}
	return found
}
