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

// Together these bounds keep the live heap of the store within 16 MiB.
const (
	maxMemory = 12 << 20 // bytes of sessions
	// sessionCost is the size of a session without its strings, including its share
	// of the maps. TestMemoryIsBoundedInBytes measures it.
	sessionCost = 560
	// maxUsed bounds the single-use ids.
	maxUsed = 20_000
	// maxLogouts bounds the logouts remembered one by one. The identity provider and
	// operators create them, and each user those of their own name. See
	// Memory.overflow.
	maxLogouts = 4096
)

// sweepEvery is how often expired entries are removed.
const sweepEvery = time.Minute

// Memory keeps sessions in the memory of this process. They end with it, and other
// replicas do not know them.
type Memory struct {
	limits Limits

	mu        sync.Mutex
	bytes     int // of sessions
	sessions  map[Key]*memorySession
	bySubject map[string][]Key // oldest first
	bySID     map[string][]Key
	used      map[digest]time.Time // when each entry expires
	logouts   map[digest]time.Time // when each arrived
	// overflow is the time of the last logout that exceeded maxLogouts. Sign-ins
	// that began before it are refused.
	overflow  time.Time
	nextSweep time.Time
}

// digest is the SHA-256 of a single-use id or of a logout.
type digest [sha256.Size]byte

type memorySession struct {
	subject, sid string
	user         clienttoken.User
	idToken      clienttoken.Secret
	idle         time.Time // when it ends unless extended
	deadline     time.Time // when it ends at the latest
}

func (k *memorySession) expires() time.Time { return earlier(k.idle, k.deadline) }

func (k *memorySession) bytes() int {
	return sessionCost + len(k.subject) + len(k.sid) + k.user.Bytes() + len(k.idToken.Reveal())
}

// NewMemory returns an empty store.
func NewMemory(limits Limits) *Memory {
	return &Memory{
		limits:    limits,
		sessions:  map[Key]*memorySession{},
		bySubject: map[string][]Key{},
		bySID:     map[string][]Key{},
		used:      map[digest]time.Time{},
		logouts:   map[digest]time.Time{},
	}
}

// Start implements Store. When maxMemory is in use, it fails until old sessions
// end: users who sign in must not evict the sessions of others.
func (m *Memory) Start(_ context.Context, key Key, s Stored, by SignIn) (Ended, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.limits.Now()
	m.sweep(now)
	next := m.newSession(s, now)
	if m.loggedOut(s, by.Began) {
		return Ended{}, ErrLoggedOut
	}
	replaced := m.selected(Selector{Key: by.Replaces}, now)
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
	m.add(key, next)
	return ended, nil
}

func (m *Memory) newSession(s Stored, now time.Time) *memorySession {
	deadline := now.Add(m.limits.Lifetime)
	return &memorySession{
		subject: s.Subject, sid: s.SID, user: s.User, idToken: s.IDToken,
		idle: now.Add(m.limits.Idle), deadline: deadline,
	}
}

func (k *memorySession) stored() Stored {
	return Stored{User: k.user, Subject: k.subject, SID: k.sid, IDToken: k.idToken, Expires: k.expires()}
}

func (m *Memory) add(key Key, k *memorySession) {
	m.sessions[key] = k
	m.bySubject[k.subject] = append(m.bySubject[k.subject], key)
	if k.sid != "" {
		m.bySID[k.sid] = append(m.bySID[k.sid], key)
	}
	m.bytes += k.bytes()
}

// Find implements Store. It pays the charge before it extends a session.
func (m *Memory) Find(ctx context.Context, key Key, touch Touch, charge *ratelimit.Charge) (Stored, error) {
	found, ok := m.lookup(key, Peek)
	if ok && touch == Extend {
		if err := charge.Pay(ctx, found.user.ID); err != nil {
			return found.stored(), err
		}
		found, ok = m.lookup(key, Extend)
	}
	if !ok {
		return Stored{}, ErrNone
	}
	s := found.stored()
	s.Over = func() bool { _, there := m.lookup(key, Peek); return !there }
	return s, nil
}

// lookup returns a copy of a live session, after the touch.
func (m *Memory) lookup(key Key, touch Touch) (memorySession, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.limits.Now()
	k, ok := m.sessions[key]
	if !ok || !now.Before(k.expires()) {
		return memorySession{}, false
	}
	if touch == Extend {
		k.idle = now.Add(m.limits.Idle)
	}
	return *k, true
}

// End implements Store. When single-use ids are at their bound, it ends the
// sessions without remembering the id.
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
	for _, key := range m.selected(sel, now) {
		ended = append(ended, m.end(key).stored())
	}
	return ended, nil
}

// selected returns the keys of the live sessions selected by sel.
func (m *Memory) selected(sel Selector, now time.Time) []Key {
	switch {
	case sel.Handle != Handle{}:
		return m.search(now, func(key Key, _ *memorySession) bool { return key.handle() == sel.Handle })
	case sel.User != "":
		return m.search(now, func(_ Key, k *memorySession) bool {
			return k.user.ID == sel.User || sel.Subject != "" && k.subject == sel.Subject
		})
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

// live returns the keys of live sessions and removes the others.
func (m *Memory) live(keys []Key, now time.Time) []Key {
	var live []Key
	for _, key := range slices.Clone(keys) { // end changes the indexes
		if now.Before(m.sessions[key].expires()) {
			live = append(live, key)
		} else {
			m.end(key)
		}
	}
	return live
}

// end removes an existing session.
func (m *Memory) end(key Key) *memorySession {
	k := m.sessions[key]
	delete(m.sessions, key)
	unindex(m.bySubject, k.subject, key)
	unindex(m.bySID, k.sid, key)
	m.bytes -= k.bytes()
	return k
}

func unindex(index map[string][]Key, name string, key Key) {
	index[name] = slices.DeleteFunc(index[name], func(k Key) bool { return k == key })
	if len(index[name]) == 0 {
		delete(index, name)
	}
}

// use marks a single-use id as used and reports whether it was unused. An empty id
// is never marked.
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
		return true // only in End: Start has checked the bound
	}
	m.used[name] = now.Add(onceTTL)
	return true
}

// logout names a logout of a subject, of a SID, of both, or of a user.
func logout(parts ...string) digest { return sha256.Sum256(joined(parts...)) }

// noteLogout remembers a logout for sign-ins in progress.
func (m *Memory) noteLogout(sel Selector, now time.Time) {
	var names []digest
	switch {
	case sel.User != "" && sel.Subject != "":
		names = []digest{logout("", "", "", sel.User), logout(sel.Subject)}
	case sel.User != "":
		names = []digest{logout("", "", "", sel.User)}
	case sel.Subject != "" && sel.SID != "":
		names = []digest{logout(sel.Subject, sel.SID), logout(sel.Subject, "")}
	case sel.Subject != "":
		names = []digest{logout(sel.Subject)}
	case sel.SID != "":
		names = []digest{logout("", "", sel.SID)}
	}
	for _, name := range names {
		if _, known := m.logouts[name]; !known && len(m.logouts) >= maxLogouts {
			m.overflow = now
			continue
		}
		m.logouts[name] = now
	}
}

// loggedOut reports whether a logout since began would have ended the session.
func (m *Memory) loggedOut(s Stored, began time.Time) bool {
	names := []digest{logout(s.Subject), logout(s.Subject, s.SID), logout("", "", "", s.User.ID)}
	if s.SID != "" {
		names = append(names, logout("", "", s.SID))
	}
	return began.Before(m.overflow) || slices.ContainsFunc(names, func(name digest) bool { return began.Before(m.logouts[name]) })
}

// sweep removes expired entries, at most once per sweepEvery.
func (m *Memory) sweep(now time.Time) {
	if now.Before(m.nextSweep) {
		return
	}
	m.nextSweep = now.Add(sweepEvery)
	for key, k := range m.sessions {
		if !now.Before(k.expires()) {
			m.end(key)
		}
	}
	for name, until := range m.used {
		if !now.Before(until) {
			delete(m.used, name)
		}
	}
	for name, at := range m.logouts {
		if !now.Before(at.Add(onceTTL)) {
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

// count returns the number of sessions, for a metric.
func (m *Memory) count() float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return float64(len(m.sessions))
}
