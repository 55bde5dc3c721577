// Package bytecache is a cache with a limit in bytes and a lifetime for each entry.
//
// The caller gives the size of each entry's content. The cache never starts a
// goroutine: each call removes expired entries. When the cache is full, they make
// room before all others.
package bytecache

import (
	"container/heap"
	"container/list"
	"reflect"
	"sync"
	"time"
)

// Config configures a cache. Both fields are required.
type Config struct {
	MaxBytes int // for all entries, including the cache's own bookkeeping
	Now      func() time.Time
}

// Cache holds values by key until they expire. When it is full, it evicts the least
// recently used. It is safe for concurrent use.
type Cache[K comparable, V any] struct {
	config   Config
	overhead int // bytes of an entry without content

	mu      sync.Mutex
	entries map[K]*entry[K, V]
	used    *list.List     // of *entry, the most recently used first
	expiry  byExpiry[K, V] // the next to expire first
	bytes   int
}

type entry[K comparable, V any] struct {
	key      K
	value    V
	until    time.Time
	bytes    int
	position int // in byExpiry
	used     *list.Element
}

// New returns an empty cache. It panics without a limit or a clock.
func New[K comparable, V any](c Config) *Cache[K, V] {
	if c.MaxBytes <= 0 || c.Now == nil {
		panic("bytecache: a cache needs a limit and a clock")
	}
	return &Cache[K, V]{
		config:   c,
		overhead: overhead[K, V](),
		entries:  map[K]*entry[K, V]{},
		used:     list.New(),
	}
}

// overhead returns the bytes of an entry without content. Rounding adds at most a
// quarter to an allocation. The heap has room for twice its pointers. A growing map
// has room for three times its entries, plus a byte for each.
func overhead[K comparable, V any]() int {
	const pointer = 8
	own := int(reflect.TypeFor[entry[K, V]]().Size() + reflect.TypeFor[list.Element]().Size())
	inMap := int(reflect.TypeFor[K]().Size()) + pointer + 1
	return own + own/4 + 3*inMap + 2*pointer
}

// Get returns the value of a key, unless it has expired.
func (c *Cache[K, V]) Get(key K) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropExpired()
	e, ok := c.entries[key]
	if !ok {
		var none V
		return none, false
	}
	c.used.MoveToFront(e.used)
	return e.value, true
}

// Add stores a value until the given time and replaces the old value of the key.
// held is the size in bytes of the content behind key and value: strings, slices
// and maps. A value larger than the whole cache is not stored.
func (c *Cache[K, V]) Add(key K, value V, held int, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, ok := c.entries[key]; ok {
		c.drop(old)
	}
	c.dropExpired()
	e := &entry[K, V]{key: key, value: value, until: until, bytes: c.overhead + max(held, 0)}
	if e.bytes > c.config.MaxBytes || !c.config.Now().Before(until) {
		return
	}
	for c.bytes+e.bytes > c.config.MaxBytes {
		c.dropOldest()
	}
	c.bytes += e.bytes
	c.entries[key] = e
	e.used = c.used.PushFront(e)
	heap.Push(&c.expiry, e)
}

// Remove deletes a key.
func (c *Cache[K, V]) Remove(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.entries[key]; ok {
		c.drop(e)
	}
}

// Clear deletes all keys.
func (c *Cache[K, V]) Clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.entries)
	c.used.Init()
	clear(c.expiry)
	c.expiry, c.bytes = c.expiry[:0], 0
}

// Len returns the number of unexpired entries.
func (c *Cache[K, V]) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropExpired()
	return len(c.entries)
}

// Bytes returns the size of the unexpired entries, at most MaxBytes.
func (c *Cache[K, V]) Bytes() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropExpired()
	return c.bytes
}

// dropExpired deletes expired entries. The caller holds mu.
func (c *Cache[K, V]) dropExpired() {
	for now := c.config.Now(); len(c.expiry) > 0 && !now.Before(c.expiry[0].until); {
		c.drop(c.expiry[0])
	}
}

// dropOldest deletes the least recently used entry. The caller holds mu.
func (c *Cache[K, V]) dropOldest() {
	if e, ok := c.used.Back().Value.(*entry[K, V]); ok { // the list holds nothing else
		c.drop(e)
	}
}

// drop deletes e. The caller holds mu.
func (c *Cache[K, V]) drop(e *entry[K, V]) {
	delete(c.entries, e.key)
	c.used.Remove(e.used)
	heap.Remove(&c.expiry, e.position)
	c.bytes -= e.bytes
}

// byExpiry implements heap.Interface.
type byExpiry[K comparable, V any] []*entry[K, V]

func (b byExpiry[K, V]) Len() int           { return len(b) }
func (b byExpiry[K, V]) Less(i, j int) bool { return b[i].until.Before(b[j].until) }

func (b byExpiry[K, V]) Swap(i, j int) {
	b[i], b[j] = b[j], b[i]
	b[i].position, b[j].position = i, j
}

// Push implements heap.Interface.
func (b *byExpiry[K, V]) Push(x any) {
	if e, ok := x.(*entry[K, V]); ok { // Add pushes nothing else
		e.position = len(*b)
		*b = append(*b, e)
	}
}

// Pop implements heap.Interface.
func (b *byExpiry[K, V]) Pop() any {
	last := len(*b) - 1
	e := (*b)[last]
	(*b)[last] = nil
	*b = (*b)[:last]
	return e
}
