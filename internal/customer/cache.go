package customer

import (
	"context"
	"fmt"
	"sync"
	"time"

	"dropgate/internal/bytecache"
	"dropgate/internal/clienttoken"
)

// cache remembers answers for a short time, so that the many tokens of one
// drop-in flow cost one question:
//
//   - key: who or what the question was about, by its id;
//   - size: at most maxRemembered bytes, the least recently used go first;
//   - life: from the moment of the question, since that is the earliest moment
//     that the answer may speak of. An older answer is never given, not even
//     when nobody else can be asked: an outage must not keep somebody in whom
//     the source has put out.
//
// It is safe because only what is true of the user can get in. "None" is an
// error, and errors are not remembered: who has just got a Customer would be
// told to wait. What has changed elsewhere is noticed here within one life, and
// what has changed on this replica at once (drop).
//
// Equal questions at the same time are one. It belongs to none of the callers
// who wait for it, so none of them can end it for the others.
type cache[V any] struct {
	life time.Duration // zero or less: nothing is remembered, and every caller asks
	// rest is for how long after its end a question that failed is not asked
	// again: its error is the answer. Zero: errors are not remembered.
	rest time.Duration

	mu      sync.Mutex
	known   *bytecache.Cache[string, remembered[V]]
	flights map[string]*flight[V] // the questions under way
}

// remembered is an answer and the end of its life.
type remembered[V any] struct {
	value V
	err   error
	until time.Time
}

// flight is a question under way. Its answer may be read once done is closed.
type flight[V any] struct {
	done  chan struct{}
	value V
	err   error
	// panicked is what the question ended in, if so. It belongs to whoever waits
	// for the answer: in a goroutine of nobody's it would end the process.
	panicked any
}

// maxRemembered is how many bytes one cache holds at most. A process has four at
// most: of the source, of both statuses and of the owners.
const maxRemembered = 3 << 19

func newCache[V any](life time.Duration) *cache[V] {
	known := bytecache.New[string, remembered[V]](bytecache.Config{MaxBytes: maxRemembered, Now: time.Now})
	return &cache[V]{life: life, known: known, flights: map[string]*flight[V]{}}
}

// heldBy is how many bytes an answer refers to: its strings, with the rounding up of
// their allocations. An error is one of a few hundred bytes.
func heldBy(value any, err error) int {
	const of, perError = 48, 1 << 10
	held := 0
	if err != nil {
		held = perError
	}
	switch v := value.(type) {
	case clienttoken.CustomerURL:
		held += len(v.String()) + len(v.ID()) + of
	case clienttoken.CustomerStatus:
		held += len(v) + of
	case []clienttoken.BeneficialOwnerURL:
		for _, owner := range v {
			held += len(owner.String()) + of
		}
	}
	return held
}

// remember keeps an answer for key. The caller holds mu.
func (c *cache[V]) remember(key string, r remembered[V]) {
	c.known.Add(key, r, len(key)+heldBy(r.value, r.err), r.until)
}

// get returns what is remembered for key, or else what ask answers. Ask must
// come to an end by itself: its context ends with the caller's only when
// nothing is remembered at all. An error that is not ask's wraps ctx.Err().
func (c *cache[V]) get(ctx context.Context, key string, ask func(context.Context) (V, error)) (V, error) {
	var none V
	if err := ctx.Err(); err != nil {
		return none, fmt.Errorf("before asking: %w", err)
	}
	if c.life <= 0 {
		return ask(ctx)
	}
	// One lock for all three: a question that ends between a look at known and
	// a look at flights would be asked twice.
	c.mu.Lock()
	if r, ok := c.known.Get(key); ok && time.Now().Before(r.until) {
		c.mu.Unlock()
		return r.value, r.err
	}
	f, flying := c.flights[key]
	if !flying {
		f = &flight[V]{done: make(chan struct{})}
		c.flights[key] = f
		go c.fly(context.WithoutCancel(ctx), key, f, ask)
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

// fly asks, and remembers the answer unless key was dropped in the meantime.
func (c *cache[V]) fly(ctx context.Context, key string, f *flight[V], ask func(context.Context) (V, error)) {
	defer close(f.done) // last, so that nobody finds an old answer under way
	asked := time.Now()
	func() {
		defer func() { f.panicked = recover() }()
		f.value, f.err = ask(ctx)
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
		c.remember(key, remembered[V]{value: f.value, until: asked.Add(c.life)})
	case c.rest > 0:
		c.remember(key, remembered[V]{err: f.err, until: time.Now().Add(c.rest)})
	}
}

// drop forgets the answer for key, finally: a question that is under way may
// have been answered before whatever happened, so its answer is not remembered
// either, and nobody who comes after the drop waits for it.
func (c *cache[V]) drop(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known.Remove(key)
	delete(c.flights, key)
}
