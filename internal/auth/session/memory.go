package session

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"dropgate/internal/clienttoken"
)

// maxSessions bounds what one replica keeps in memory: with sessions of the
// largest size about 250 MB, with usual ones a tenth of it.
const maxSessions = 20_000

// sweepEvery is how often ended and forgotten things are looked for.
const sweepEvery = time.Minute

// Memory keeps sessions in the memory of this process: they end with it, and
// no other replica knows them.
type Memory struct {
	limits Limits

	mu        sync.Mutex
	sessions  map[Key]*kept
	bySubject map[string][]Key // the oldest first
	bySID     map[string][]Key
	used      map[string]time.Time // until when it is remembered
	nextSweep time.Time
}

type kept struct {
	session  Session // Expires is the end if it is not used again
	deadline time.Time
}

// NewMemory returns an empty store.
func NewMemory(limits Limits) *Memory {
	return &Memory{
		limits:    limits,
		sessions:  map[Key]*kept{},
		bySubject: map[string][]Key{},
		bySID:     map[string][]Key{},
		used:      map[string]time.Time{},
	}
}

// Start implements Store. When 20 000 sessions are there, new ones have to wait
// for old ones to end: whoever can sign in must not end those of others.
func (m *Memory) Start(_ context.Context, key Key, s Session, by SignIn) (Ended, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.limits.Now()
	m.sweep(now)
	replaced := m.find(Which{Key: by.Replaces}, now)
	if len(m.sessions)-len(replaced) >= maxSessions || len(m.used) >= maxSessions {
		return Ended{}, &clienttoken.Failure{
			Code:       clienttoken.Unavailable,
			RetryAfter: sweepEvery,
			Err:        errors.New("the memory for sessions is full"),
			Mend:       "there is no room for more sessions in memory: set SESSION_STORE=redis",
		}
	}
	if !m.use(by.Once, now) {
		return Ended{}, ErrUsed
	}
	for _, old := range replaced {
		m.end(old)
	}
	ended := Ended{Replaced: len(replaced)}
	others := m.live(m.bySubject[s.Subject], now)
	for ; len(others)-ended.Displaced >= maxPerSubject; ended.Displaced++ {
		m.end(others[ended.Displaced])
	}
	deadline := now.Add(m.limits.Lifetime)
	s.Expires = earlier(now.Add(m.limits.Idle), deadline)
	m.sessions[key] = &kept{s, deadline}
	m.bySubject[s.Subject] = append(m.bySubject[s.Subject], key)
	if s.SID != "" {
		m.bySID[s.SID] = append(m.bySID[s.SID], key)
	}
	return ended, nil
}

// Find implements Store.
func (m *Memory) Find(_ context.Context, key Key, effect Effect) (Session, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.limits.Now()
	k, ok := m.sessions[key]
	if !ok || !now.Before(k.session.Expires) {
		return Session{}, ErrNone
	}
	if effect == Extend {
		k.session.Expires = earlier(now.Add(m.limits.Idle), k.deadline)
	}
	return k.session, nil
}

// End implements Store.
func (m *Memory) End(_ context.Context, which Which) ([]Session, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.limits.Now()
	m.sweep(now)
	if which.Once != "" && !m.use(which.Once, now) {
		return nil, ErrUsed
	}
	var ended []Session
	for _, key := range m.find(which, now) {
		ended = append(ended, m.end(key))
	}
	return ended, nil
}

// find returns the keys of the sessions to end.
func (m *Memory) find(which Which, now time.Time) []Key {
	switch {
	case which.Subject != "":
		var found []Key
		for _, key := range m.live(m.bySubject[which.Subject], now) {
			if sid := m.sessions[key].session.SID; which.SID == "" || sid == "" || sid == which.SID {
				found = append(found, key)
			}
		}
		return found
	case which.SID != "":
		return m.live(m.bySID[which.SID], now)
	case m.sessions[which.Key] != nil:
		return m.live([]Key{which.Key}, now)
	}
	return nil
}

// live returns those of keys whose sessions are still good, and forgets the
// others.
func (m *Memory) live(keys []Key, now time.Time) []Key {
	var live []Key
	for _, key := range slices.Clone(keys) { // end changes the indexes
		if now.Before(m.sessions[key].session.Expires) {
			live = append(live, key)
		} else {
			m.end(key)
		}
	}
	return live
}

// end forgets a session that is there.
func (m *Memory) end(key Key) Session {
	s := m.sessions[key].session
	delete(m.sessions, key)
	forget(m.bySubject, s.Subject, key)
	forget(m.bySID, s.SID, key)
	return s
}

func forget(index map[string][]Key, name string, key Key) {
	index[name] = slices.DeleteFunc(index[name], func(k Key) bool { return k == key })
	if len(index[name]) == 0 {
		delete(index, name)
	}
}

// use marks what may be used once, and reports whether it was the first time.
func (m *Memory) use(once string, now time.Time) bool {
	if until, used := m.used[once]; used && now.Before(until) {
		return false
	}
	m.used[once] = now.Add(rememberUse)
	return true
}

// sweep forgets what has ended by itself, now and then.
func (m *Memory) sweep(now time.Time) {
	if now.Before(m.nextSweep) {
		return
	}
	m.nextSweep = now.Add(sweepEvery)
	for key, k := range m.sessions {
		if !now.Before(k.session.Expires) {
			m.end(key)
		}
	}
	for once, until := range m.used {
		if !now.Before(until) {
			delete(m.used, once)
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
