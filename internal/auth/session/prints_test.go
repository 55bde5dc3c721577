package session_test

import (
	"context"
	"slices"
	"sync"

	"github.com/redis/go-redis/v9"

	"dropgate/internal/auth/session"
)

// prints notes under which names a store may have put something into Redis.
// Replicas of different versions meet there, so the names are a promise too.
type prints struct {
	session.Store

	redis *session.Redis // the Store
	mu    sync.Mutex
	names map[string]bool
}

func (w *world) sessionName(key session.Key) string { return w.prints.redis.SessionName(key) }

func (w *world) nameOf(kind string, of ...string) string {
	return w.prints.redis.NamesOf(kind, of...)[0]
}

// open lets a replica do the work from now on.
func (p *prints) open(r *session.Redis) {
	p.Store, p.redis = r, r
	p.note(r.EpochName())
}

func (p *prints) note(names ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, name := range names {
		p.names[name] = true
	}
}

func (p *prints) all() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]string, 0, len(p.names))
	for name := range p.names {
		all = append(all, name)
	}
	return all
}

// wipe removes everything, unless the server is down by now.
func (p *prints) wipe(client *redis.Client) {
	for names := range slices.Chunk(p.all(), 1000) {
		_ = client.Del(context.Background(), names...)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.names)
}

func (p *prints) Start(ctx context.Context, key session.Key, s session.Stored, by session.SignIn) (session.Ended, error) {
	p.note(p.redis.SessionName(key))
	p.note(p.redis.NamesOf("subject", s.Subject)...)
	p.note(p.redis.NamesOf("sid", s.SID)...)
	p.note(p.redis.NamesOf("used", by.Once)...)
	return p.Store.Start(ctx, key, s, by)
}

func (p *prints) End(ctx context.Context, which session.Selector) ([]session.Stored, error) {
	p.note(p.redis.NamesOf("used", which.Once)...)
	for _, of := range [][]string{{which.Subject}, {which.Subject, which.SID}, {which.Subject, ""}, {"", "", which.SID}} {
		p.note(p.redis.NamesOf("logout", of...)...)
	}
	return p.Store.End(ctx, which)
}
