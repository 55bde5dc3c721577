package provider

import (
	"maps"
	"time"
)

// shelfRoom bounds what strangers can make the provider remember.
const shelfRoom = 1000

// shelf keeps values: each for life, and at most shelfRoom of them. When it is
// full, the oldest gives way. Its user holds a lock.
type shelf[V any] struct {
	life   time.Duration
	things map[string]thing[V]
	placed int
}

type thing[V any] struct {
	value V
	until time.Time
	place int
}

func newShelf[V any](life time.Duration) shelf[V] {
	return shelf[V]{life: life, things: map[string]thing[V]{}}
}

func (s *shelf[V]) put(key string, value V) {
	if _, there := s.things[key]; !there && len(s.things) >= shelfRoom {
		s.makeRoom()
	}
	s.placed++
	s.things[key] = thing[V]{value: value, until: time.Now().Add(s.life), place: s.placed}
}

func (s *shelf[V]) makeRoom() {
	maps.DeleteFunc(s.things, func(_ string, t thing[V]) bool { return t.over() })
	if len(s.things) < shelfRoom {
		return
	}
	oldest, first := "", s.placed+1
	for key, t := range s.things {
		if t.place < first {
			oldest, first = key, t.place
		}
	}
	delete(s.things, oldest)
}

func (s *shelf[V]) get(key string) (V, bool) {
	t, found := s.things[key]
	if !found || t.over() {
		var none V
		return none, false
	}
	return t.value, true
}

// take gets a value that nobody can get again.
func (s *shelf[V]) take(key string) (V, bool) {
	value, found := s.get(key)
	delete(s.things, key)
	return value, found
}

// drop forgets the values that unwanted reports.
func (s *shelf[V]) drop(unwanted func(V) bool) {
	maps.DeleteFunc(s.things, func(_ string, t thing[V]) bool { return unwanted(t.value) })
}

func (t thing[V]) over() bool { return !time.Now().Before(t.until) }
