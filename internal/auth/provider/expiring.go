package provider

import (
	"maps"
	"time"
)

// maxEntries bounds the memory that unknown callers can fill.
const maxEntries = 1000

// expiring is a map whose entries expire after life. A full map evicts its
// oldest entry. The caller holds a lock.
type expiring[V any] struct {
	life    time.Duration
	entries map[string]entry[V]
	lastSeq int
}

type entry[V any] struct {
	value   V
	expires time.Time
	seq     int // order of insertion
}

func newExpiring[V any](life time.Duration) expiring[V] {
	return expiring[V]{life: life, entries: map[string]entry[V]{}}
}

func (m *expiring[V]) put(key string, value V) {
	if _, exists := m.entries[key]; !exists && len(m.entries) >= maxEntries {
		m.evict()
	}
	m.lastSeq++
	m.entries[key] = entry[V]{value: value, expires: time.Now().Add(m.life), seq: m.lastSeq}
}

// evict removes expired entries, or the oldest one when none has expired.
func (m *expiring[V]) evict() {
	maps.DeleteFunc(m.entries, func(_ string, e entry[V]) bool { return e.expired() })
	if len(m.entries) < maxEntries {
		return
	}
	oldest, seq := "", m.lastSeq+1
	for key, e := range m.entries {
		if e.seq < seq {
			oldest, seq = key, e.seq
		}
	}
	delete(m.entries, oldest)
}

func (m *expiring[V]) get(key string) (V, bool) {
	e, found := m.entries[key]
	if !found || e.expired() {
		var zero V
		return zero, false
	}
	return e.value, true
}

// take removes an entry and returns its value.
func (m *expiring[V]) take(key string) (V, bool) {
	value, found := m.get(key)
	delete(m.entries, key)
	return value, found
}

func (m *expiring[V]) removeIf(unwanted func(V) bool) {
	maps.DeleteFunc(m.entries, func(_ string, e entry[V]) bool { return unwanted(e.value) })
}

func (e entry[V]) expired() bool { return !time.Now().Before(e.expires) }
