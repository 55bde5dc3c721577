package session

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"sync"
	"time"

	"dropgate/internal/clienttoken"
	"dropgate/internal/ratelimit"
)

// The bounds of what one replica keeps in memory: all of it is at most 16 MiB of
// live heap.
const (
	maxMemory = 12 << 20 // bytes of sessions
	// sessionCost is what a session costs beside its texts: its share of the maps,
	// and of what they point to. TestMemoryIsBoundedInBytes measures it.
	sessionCost = 560
	// maxUsed is how many sign-ins and notices are remembered as used.
	maxUsed = 20_000
	// maxLogouts is how many logouts are remembered one by one. Only the identity
	// provider makes them. Beyond it a sign-in is refused when it began before any
	// of them.
	maxLogouts = 4096
)

// sweepEvery is how often ended and forgotten things are looked for.
const sweepEvery = time.Minute

// Memory keeps sessions in the memory of this process: they end with it, and
// no other replica knows them.
type Memory struct {
	limits Limits

	mu        sync.Mutex
	bytes     int // of sessions
	sessions  map[Key]*kept
	bySubject map[string][]Key // the oldest first
	bySID     map[string][]Key
	used      map[digest]time.Time // until when it is remembered
	logouts   map[digest]time.Time // when they came
	crowded   time.Time            // the last logout that found no room in logouts
	nextSweep time.Time
}

// digest is the SHA-256 of a name of any length.
type digest [sha256.Size]byte

type kept struct {
	subject, sid string
	user         clienttoken.User
	idToken      clienttoken.Secret
	expires      time.Time // if it is not used again
	deadline     time.Time
}

func (k *kept) bytes() int {
	return sessionCost + len(k.subject) + len(k.sid) + k.user.Bytes() + len(k.idToken.Reveal())
}

// NewMemory returns an empty store.
func NewMemory(limits Limits) *Memory {
	return &Memory{
		limits:    limits,
		sessions:  map[Key]*kept{},
		bySubject: map[string][]Key{},
		bySID:     map[string][]Key{},
		used:      map[digest]time.Time{},
		logouts:   map[digest]time.Time{},
	}
}

// Start implements Store. When 12 MiB are in use, new sessions have to wait for
// old ones to end: whoever can sign in must not end those of others.
func (m *Memory) Start(_ context.Context, key Key, s Stored, by SignIn) (Ended, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.limits.Now()
	m.sweep(now)
	next := m.made(s, now)
	if m.loggedOut(s, by.Began) {
		return Ended{}, ErrLoggedOut
	}
	replaced := m.find(Selector{Key: by.Replaces}, now)
	room := maxMemory - m.bytes
	for _, old := range replaced {
		room += m.sessions[old].bytes()
	}
	if next.bytes() > room || len(m.used) >= maxUsed {
		return Ended{}, &clienttoken.Failure{
			Code:       clienttoken.Unavailable,
			RetryAfter: sweepEvery,
			Err:        errors.New("the memory for sessions is full"),
			Remedy:     "there is no room for more sessions in memory: set SESSION_STORE=redis",
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
	m.keep(key, next)
	return ended, nil
}

// made is a session as it is kept.
func (m *Memory) made(s Stored, now time.Time) *kept {
	deadline := now.Add(m.limits.Lifetime)
	return &kept{
		subject: s.Subject, sid: s.SID, user: s.User, idToken: s.IDToken,
		expires: earlier(now.Add(m.limits.Idle), deadline), deadline: deadline,
	}
}

// session is what was kept.
func (k *kept) session() Stored {
	return Stored{User: k.user, Subject: k.subject, SID: k.sid, IDToken: k.idToken, Expires: k.expires}
}

func (m *Memory) keep(key Key, k *kept) {
	m.sessions[key] = k
	m.bySubject[k.subject] = append(m.bySubject[k.subject], key)
	if k.sid != "" {
		m.bySID[k.sid] = append(m.bySID[k.sid], key)
	}
	m.bytes += k.bytes()
}

// Find implements Store.
func (m *Memory) Find(_ context.Context, key Key, touch Touch, _ *ratelimit.Charge) (Stored, error) {
	found, ok := m.look(key, touch)
	if !ok {
		return Stored{}, ErrNone
	}
	s := found.session()
	s.Over = func() bool { _, there := m.look(key, Peek); return !there }
	return s, nil
}

// look returns a session as it is now, after the effect.
func (m *Memory) look(key Key, touch Touch) (kept, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.limits.Now()
	k, ok := m.sessions[key]
	if !ok || !now.Before(k.expires) {
		return kept{}, false
	}
	if touch == Extend {
		k.expires = earlier(now.Add(m.limits.Idle), k.deadline)
	}
	return *k, true
}

// End implements Store. A notice of which there is no room to remember that it
// was used ends its sessions all the same.
func (m *Memory) End(_ context.Context, sel Selector) ([]Stored, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.limits.Now()
	m.sweep(now)
	if !m.use(sel.Once, now) {
		return nil, ErrUsed
	}
	m.noteLogout(sel, now)
	var ended []Stored
	for _, key := range m.find(sel, now) {
		ended = append(ended, m.end(key).session())
	}
	return ended, nil
}

// find returns the keys of the sessions to end.
func (m *Memory) find(sel Selector, now time.Time) []Key {
	switch {
	case sel.Subject != "":
		var found []Key
		for _, key := range m.live(m.bySubject[sel.Subject], now) {
			if sid := m.sessions[key].sid; sel.SID == "" || sid == "" || sid == sel.SID {
				found = append(found, key)
			}
		}
		return found
	case sel.SID != "":
		return m.live(m.bySID[sel.SID], now)
	case m.sessions[sel.Key] != nil:
		return m.live([]Key{sel.Key}, now)
	}
	return nil
}

// live returns those of keys whose sessions are still good, and forgets the
// others.
func (m *Memory) live(keys []Key, now time.Time) []Key {
	var live []Key
	for _, key := range slices.Clone(keys) { // end changes the indexes
		if now.Before(m.sessions[key].expires) {
			live = append(live, key)
		} else {
			m.end(key)
		}
	}
	return live
}

// end forgets a session that is there.
func (m *Memory) end(key Key) *kept {
	k := m.sessions[key]
	delete(m.sessions, key)
	forget(m.bySubject, k.subject, key)
	forget(m.bySID, k.sid, key)
	m.bytes -= k.bytes()
	return k
}

func forget(index map[string][]Key, name string, key Key) {
	index[name] = slices.DeleteFunc(index[name], func(k Key) bool { return k == key })
	if len(index[name]) == 0 {
		delete(index, name)
	}
}

// use marks what may be used once, and reports whether it was the first time.
// Nothing that is empty is marked.
func (m *Memory) use(once string, now time.Time) bool {
	if once == "" {
		return true
	}
	name := digest(sha256.Sum256([]byte(once)))
	until, used := m.used[name]
	if used && now.Before(until) {
		return false
	}
	if !used && len(m.used) >= maxUsed {
		return true // only for End: Start has made sure that there is room
	}
	m.used[name] = now.Add(rememberUse)
	return true
}

// logout is the name of a logout: of a subject, of a SID, or of both.
func logout(parts ...string) digest { return sha256.Sum256(joined(parts...)) }

// noteLogout remembers a logout by its subject or SID for sign-ins under way.
func (m *Memory) noteLogout(sel Selector, now time.Time) {
	var names []digest
	switch {
	case sel.Subject != "" && sel.SID != "":
		names = []digest{logout(sel.Subject, sel.SID), logout(sel.Subject, "")}
	case sel.Subject != "":
		names = []digest{logout(sel.Subject)}
	case sel.SID != "":
		names = []digest{logout("", "", sel.SID)}
	}
	for _, name := range names {
		if _, known := m.logouts[name]; !known && len(m.logouts) >= maxLogouts {
			m.crowded = now
			continue
		}
		m.logouts[name] = now
	}
}

// loggedOut reports whether a logout would have ended a session since its sign-in
// began.
func (m *Memory) loggedOut(s Stored, began time.Time) bool {
	names := []digest{logout(s.Subject), logout(s.Subject, s.SID)}
	if s.SID != "" {
		names = append(names, logout("", "", s.SID))
	}
	return began.Before(m.crowded) || slices.ContainsFunc(names, func(name digest) bool { return began.Before(m.logouts[name]) })
}

// sweep forgets what has ended by itself, now and then.
func (m *Memory) sweep(now time.Time) {
	if now.Before(m.nextSweep) {
		return
	}
	m.nextSweep = now.Add(sweepEvery)
	for key, k := range m.sessions {
		if !now.Before(k.expires) {
			m.end(key)
		}
	}
	for name, until := range m.used {
		if !now.Before(until) {
			delete(m.used, name)
		}
	}
	for name, at := range m.logouts {
		if !now.Before(at.Add(rememberUse)) {
			delete(m.logouts, name)
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
