package bytecache_test

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dropgate/internal/bytecache"
)

type clock struct{ now time.Time }

func (c *clock) Now() time.Time          { return c.now }
func (c *clock) advance(d time.Duration) { c.now = c.now.Add(d) }
func (c *clock) in(d time.Duration) time.Time {
	return c.now.Add(d)
}

func newCache(maxBytes int) (*bytecache.Cache[string, string], *clock) {
	c := &clock{time.Unix(1_000_000, 0)}
	return bytecache.New[string, string](bytecache.Config{MaxBytes: maxBytes, Now: c.Now}), c
}

func TestAnEntryStaysUntilItExpires(t *testing.T) {
	cache, clock := newCache(10_000)
	cache.Add("a", "1", 2, clock.in(time.Minute))
	cache.Add("a", "2", 2, clock.in(time.Minute))
	clock.advance(time.Minute - 1)
	if got, ok := cache.Get("a"); !ok || got != "2" {
		t.Errorf("%q, %t", got, ok)
	}
	clock.advance(1)
	if got, ok := cache.Get("a"); ok || got != "" || cache.Len() != 0 || cache.Bytes() != 0 {
		t.Errorf("%q, %t, %d entries of %d bytes", got, ok, cache.Len(), cache.Bytes())
	}
}

func TestTheLeastRecentlyUsedIsEvicted(t *testing.T) {
	cache, clock := newCache(3_000)
	for _, key := range []string{"a", "b"} {
		cache.Add(key, key, 1_000, clock.in(time.Hour))
	}
	cache.Get("a")
	cache.Add("c", "c", 1_000, clock.in(time.Hour))
	if got := present(cache, "a", "b", "c"); got != "ac" {
		t.Errorf("kept %q", got)
	}
}

func TestExpiredEntriesAreEvictedFirst(t *testing.T) {
	cache, clock := newCache(3_000)
	cache.Add("old", "old", 1_000, clock.in(time.Hour))
	cache.Add("short", "short", 1_000, clock.in(time.Second))
	clock.advance(time.Second)
	cache.Add("new", "new", 1_000, clock.in(time.Hour))
	if got := present(cache, "old", "short", "new"); got != "oldnew" {
		t.Errorf("kept %q", got)
	}
}

func TestAnOversizedEntryIsNotStored(t *testing.T) {
	cache, clock := newCache(3_000)
	cache.Add("a", "a", 100, clock.in(time.Hour))
	cache.Add("b", "b", 3_000, clock.in(time.Hour))
	if got := present(cache, "a", "b"); got != "a" {
		t.Errorf("kept %q", got)
	}
	cache.Add("a", "a", 3_000, clock.in(time.Hour))
	if cache.Len() != 0 {
		t.Error("an older value is kept")
	}
}

func TestARemovedEntryIsGone(t *testing.T) {
	cache, clock := newCache(3_000)
	cache.Add("a", "a", 100, clock.in(time.Hour))
	cache.Remove("a")
	cache.Remove("b")
	if cache.Len() != 0 || cache.Bytes() != 0 {
		t.Errorf("%d entries of %d bytes", cache.Len(), cache.Bytes())
	}
}

func present(cache *bytecache.Cache[string, string], keys ...string) string {
	var found strings.Builder
	for _, key := range keys {
		if _, ok := cache.Get(key); ok {
			found.WriteString(key)
		}
	}
	return found.String()
}

// After any operations the limit holds, and a key has its latest value.
func TestTheLimitAlwaysHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const most = 4_000
		cache, clock := newCache(most)
		last, until := map[string]string{}, map[string]time.Time{}
		for i := range rapid.IntRange(1, 200).Draw(t, "steps") {
			key := rapid.StringMatching(`[a-h]`).Draw(t, "key")
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				held := rapid.IntRange(0, most+100).Draw(t, "held")
				last[key], until[key] = fmt.Sprint(i), clock.in(time.Duration(rapid.IntRange(0, 5).Draw(t, "life")))
				cache.Add(key, last[key], held, until[key])
			case 1:
				cache.Remove(key)
				delete(last, key)
			case 2:
				clock.advance(time.Duration(rapid.IntRange(0, 3).Draw(t, "passed")))
			case 3:
				if got, ok := cache.Get(key); ok && (got != last[key] || !clock.now.Before(until[key])) {
					t.Fatalf("%s is %q, added %q until %s", key, got, last[key], until[key])
				}
			}
			if bytes := cache.Bytes(); bytes < 0 || bytes > most || (bytes == 0) != (cache.Len() == 0) {
				t.Fatalf("%d entries of %d bytes", cache.Len(), bytes)
			}
		}
	})
}

// The limit includes the bookkeeping.
func TestAFullCacheStaysWithinItsLimit(t *testing.T) {
	const most = 8 << 20
	for _, held := range []int{0, 64, 1 << 10} {
		t.Run(fmt.Sprint(held), func(t *testing.T) {
			before := live()
			clock := &clock{time.Unix(1_000_000, 0)}
			cache := bytecache.New[[32]byte, []byte](bytecache.Config{MaxBytes: most, Now: clock.Now})
			for i := range 3 * most / (held + 100) {
				var key [32]byte
				copy(key[:], fmt.Sprint(i))
				cache.Add(key, make([]byte, held), held, clock.in(time.Hour))
			}
			grown := live() - before
			if grown > most+most/50 || cache.Bytes() < most*9/10 {
				t.Errorf("%d bytes of heap for %d counted, of %d", grown, cache.Bytes(), most)
			}
			runtime.KeepAlive(cache)
		})
	}
}

func live() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestNewPanicsWithoutLimitOrClock(t *testing.T) {
	for name, config := range map[string]bytecache.Config{
		"no bound": {Now: time.Now},
		"no clock": {MaxBytes: 1},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			bytecache.New[string, string](config)
		})
	}
}

func TestClearedCacheIsEmptyAndUsable(t *testing.T) {
	c := bytecache.New[string, int](bytecache.Config{MaxBytes: 1 << 12, Now: time.Now})
	for range 3 {
		for i := range 100 { // more than fit
			c.Add(strconv.Itoa(i), i, 3, time.Now().Add(time.Hour))
		}
		full := c.Len()
		c.Clear()
		if _, found := c.Get("99"); found || c.Len() != 0 {
			t.Errorf("found: %t, %d entries, want none", found, c.Len())
		}
		c.Add("a", 1, 1, time.Now().Add(time.Hour))
		if got, _ := c.Get("a"); got != 1 || full < 2 {
			t.Errorf("after Clear: %d, room for %d", got, full)
		}
	}
}
