package session

// Only this package can compute the names of entries in Redis.

// SessionName returns the Redis key of a session.
func (r *Redis) SessionName(key Key) string { return r.sealer.Load().sessionName(key) }

// EpochName returns the Redis key of the epoch.
func (r *Redis) EpochName() string { return r.sealer.Load().epochName() }

// NamesOf returns the Redis keys of an entry, one for each service key.
func (r *Redis) NamesOf(kind string, of ...string) []string {
	return r.sealer.Load().names(kind, of...)
}
