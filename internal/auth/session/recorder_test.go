package session_test

import (
	"context"
	"slices"
	"sync"

	"github.com/redis/go-redis/v9"

	"dropgate/internal/auth/session"
)

// recorder is a store that records the Redis keys it may have written. Replicas of
// different versions share Redis, so tests check these keys.
type recorder struct {
	session.Store

	redis *session.Redis // is the Store
	mu    sync.Mutex
	names map[string]bool
}

func (w *world) sessionName(key session.Key) string { return w.keysIn.redis.SessionName(key) }

func (w *world) nameOf(kind string, of ...string) string {
	return w.keysIn.redis.NamesOf(kind, of...)[0]
}

// open makes r the store from now on.
func (p *recorder) open(r *session.Redis) {
	p.Store, p.redis = r, r
	p.note(r.EpochName())
}

func (p *recorder) note(names ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, name := range names {
		p.names[name] = true
	}
}

func (p *recorder) all() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]string, 0, len(p.names))
	for name := range p.names {
		all = append(all, name)
	}
	return all
}

// wipe deletes the keys. It ignores a server that is down.
func (p *recorder) wipe(client *redis.Client) {
	for names := range slices.Chunk(p.all(), 1000) {
		_ = client.Del(context.Background(), names...)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.names)
}

func (p *recorder) Start(ctx context.Context, key session.Key, s session.Stored, by session.SignIn) (session.Ended, error) {
	p.note(p.redis.SessionName(key))
	p.note(p.redis.NamesOf("subject", s.Subject)...)
	p.note(p.redis.NamesOf("sid", s.SID)...)
	p.note(p.redis.NamesOf("user", s.User.ID)...)
	p.note(p.redis.NamesOf("used", by.Once)...)
	return p.Store.Start(ctx, key, s, by)
}

func (p *recorder) End(ctx context.Context, sel session.Selector) ([]session.Stored, error) {
	p.note(p.redis.NamesOf("used", sel.Once)...)
	for _, of := range [][]string{{sel.Subject}, {sel.Subject, sel.SID}, {sel.Subject, ""}, {"", "", sel.SID}, {"", "", "", sel.User}} {
		p.note(p.redis.NamesOf("logout", of...)...)
	}
	return p.Store.End(ctx, sel)
}
