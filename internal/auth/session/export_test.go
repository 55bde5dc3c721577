package session

// Tests look at what is kept in Redis, whose names cannot be made elsewhere.

// SessionName is where the session of a key is kept.
func (r *Redis) SessionName(key Key) string { return r.vault.session(key) }

// EpochName is where the epoch is kept.
func (r *Redis) EpochName() string { return r.vault.epoch() }

// NamesOf are where something of a kind is kept, by each key of the service.
func (r *Redis) NamesOf(kind string, of ...string) []string { return r.vault.names(kind, of...) }
