package customer

import (
	"context"
	"fmt"
	"sync"
	"time"

	"dropgate/internal/bytecache"
	"dropgate/internal/clienttoken"
)

// cache keeps answers for a short time, so the many tokens of one drop-in flow cost
// one lookup. It evicts the least recently used entries beyond maxCacheBytes.
//
// A lifetime starts when the lookup starts, because the answer may be as old as that.
// Expired answers are never used, not even during an outage: the source may have
// removed the user. Errors are not cached, since a user who has just got a Customer
// would have to wait.
//
// Concurrent lookups of one key share a single flight, which no caller can cancel.
// x/sync/singleflight does not fit: after drop, a flight in progress must not fill the
// cache, a panic must reach the waiting callers, and one lock must cover known and
// flights.
type cache[V any] struct {
	life time.Duration // 0 or less: nothing is cached or shared
	// errorLife caches a failed lookup's error for that long after the lookup. 0:
	// errors are not cached.
	errorLife time.Duration

	mu      sync.Mutex
	known   *bytecache.Cache[string, entry[V]]
	flights map[string]*flight[V] // lookups in progress
}

// entry is a cached answer.
type entry[V any] struct {
	value V
	err   error
	until time.Time
}

// flight is a lookup in progress. Read value and err after done is closed.
type flight[V any] struct {
	done  chan struct{}
	value V
	err   error
	// panicked is what the lookup panicked with. The waiting callers panic with it;
	// unrecovered in its own goroutine it would end the process.
	panicked any
}

// maxCacheBytes bounds one cache. A process has at most four: of the source, of two
// status sources and of owners.
const maxCacheBytes = 3 << 19

func newCache[V any](life time.Duration) *cache[V] {
	known := bytecache.New[string, entry[V]](bytecache.Config{MaxBytes: maxCacheBytes, Now: time.Now})
	return &cache[V]{life: life, known: known, flights: map[string]*flight[V]{}}
}

// sizeOf returns the bytes a value refers to: its strings, rounded up as allocated. It
// counts 1 KiB for an error.
func sizeOf(value any, err error) int {
	const of, perError = 48, 1 << 10
	size := 0
	if err != nil {
		size = perError
	}
	switch v := value.(type) {
	case clienttoken.CustomerURL:
		size += len(v.String()) + len(v.ID()) + of
	case clienttoken.CustomerStatus:
		size += len(v) + of
	case []clienttoken.BeneficialOwnerURL:
		for _, owner := range v {
			size += len(owner.String()) + of
		}
	}
	return size
}

// store caches an answer for key. The caller holds mu.
func (c *cache[V]) store(key string, r entry[V]) {
	c.known.Add(key, r, len(key)+sizeOf(r.value, r.err), r.until)
}

// get returns the cached answer for key, or calls lookup. The context of lookup is
// canceled with the caller's only if life is 0, so lookup needs its own timeout. An
// error of get itself wraps ctx.Err().
func (c *cache[V]) get(ctx context.Context, key string, lookup func(context.Context) (V, error)) (V, error) {
	var none V
	if err := ctx.Err(); err != nil {
		return none, fmt.Errorf("before asking: %w", err)
	}
	if c.life <= 0 {
		return lookup(ctx)
	}
	// One lock for all three: a flight may end between reading known and reading
	// flights.
	c.mu.Lock()
	if r, ok := c.known.Get(key); ok && time.Now().Before(r.until) {
		c.mu.Unlock()
		return r.value, r.err
	}
	f, flying := c.flights[key]
	if !flying {
		f = &flight[V]{done: make(chan struct{})}
		c.flights[key] = f
		go c.fly(context.WithoutCancel(ctx), key, f, lookup)
	}
	c.mu.Unlock()
	select {
	case <-f.done:
		if f.panicked != nil {
			panic(f.panicked)
		}
		return f.value, f.err
	case <-ctx.Done():
		return none, fmt.Errorf("waiting for an answer: %w", ctx.Err())
	}
}

// fly runs lookup and caches the answer, unless key was dropped meanwhile.
func (c *cache[V]) fly(ctx context.Context, key string, f *flight[V], lookup func(context.Context) (V, error)) {
	defer close(f.done) // last: a closed flight is no longer in flights
	asked := time.Now()
	func() {
		defer func() { f.panicked = recover() }()
		f.value, f.err = lookup(ctx)
	}()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flights[key] != f {
		return
	}
	delete(c.flights, key)
	switch {
	case f.panicked != nil:
	case f.err == nil:
		c.store(key, entry[V]{value: f.value, until: asked.Add(c.life)})
	case c.errorLife > 0:
		c.store(key, entry[V]{err: f.err, until: time.Now().Add(c.errorLife)})
	}
}

// clear removes all answers, also of lookups in progress.
func (c *cache[V]) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known.Clear()
	clear(c.flights)
}

// drop removes the answer for key. A lookup in progress may have read the state before
// the change, so its answer is not cached either, and later callers start a new one.
func (c *cache[V]) drop(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known.Remove(key)
	delete(c.flights, key)
}
