package session

import (
	"context"
	"crypto/sha256"
	"slices"
	"time"
)

// List implements Store.
func (m *Memory) List(_ context.Context, who Selector) ([]Listed, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []Listed
	for _, key := range m.selected(who, m.limits.Now()) {
		k := m.sessions[key]
		s := m.limits.listed(k.deadline.Add(-m.limits.Lifetime), k.idle, k.deadline)
		s.Handle, s.UserID = key.handle(), k.user.ID
		all = append(all, s)
	}
	slices.Reverse(all)
	return all[:min(len(all), MaxListed)], nil
}

// search returns the keys of the live sessions that match, oldest first. It looks at
// all sessions, which takes a few milliseconds at most: only operators, and users who
// end all their sessions, wait for it.
func (m *Memory) search(now time.Time, match func(Key, *memorySession) bool) []Key {
	var found []Key
	for key, k := range m.sessions {
		if now.Before(k.expires()) && match(key, k) {
			found = append(found, key)
		}
	}
	slices.SortFunc(found, func(a, b Key) int { return m.sessions[a].deadline.Compare(m.sessions[b].deadline) })
	return found
}

// handle returns the handle of a session in memory.
func (k Key) handle() Handle { return sha256.Sum256(joined("dropgate 1", "handle", string(k[:]))) }
