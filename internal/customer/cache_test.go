package customer_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
)

// slowStore is a store in memory. An answer takes a while after the row is read.
type slowStore struct {
	mu    sync.Mutex
	links map[string]string // by user
	reads int
	takes time.Duration
	fault error // returned by reads, and by writes after they took effect
}

// Customer implements customer.Store.
func (s *slowStore) Customer(ctx context.Context, userID string) (string, error) {
	s.mu.Lock()
	s.reads++
	id, linked := s.links[userID]
	takes, fault := s.takes, s.fault
	s.mu.Unlock()
	if takes > 0 {
		select {
		case <-time.After(takes):
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	if fault == nil && !linked {
		fault = clienttoken.ErrNoCustomer
	}
	return id, fault
}

// Link implements customer.Store.
func (s *slowStore) Link(_ context.Context, userID, customerID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.links == nil {
		s.links = map[string]string{}
	}
	s.links[userID] = customerID
	return s.fault
}

// Unlink implements customer.Store.
func (s *slowStore) Unlink(_ context.Context, userID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.links, userID)
	return s.fault
}

func (s *slowStore) takesNow(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.takes = d
}

func (s *slowStore) calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads
}

// annsStore returns a store with a link from ann to Customer A.
func annsStore() *slowStore { return &slowStore{links: map[string]string{"ann": customerA}} }

// Verdicts on the answer of a source.
const (
	none   = "none"
	outage = "outage"
	left   = "left" // the caller did
)

// verdict returns the Customer's id, or one of the words above.
func verdict(t testing.TB, url clienttoken.CustomerURL, err error) string {
	t.Helper()
	failure, failed := errors.AsType[*clienttoken.Failure](err)
	switch {
	case err == nil:
		return url.ID()
	case !url.IsZero():
		t.Errorf("%s beside the error %v", url, err)
	case errors.Is(err, clienttoken.ErrNoCustomer):
		return none
	case failed && failure.Code == clienttoken.Unavailable && failure.RetryAfter > 0:
		return outage
	case errors.Is(err, context.Canceled) && !failed:
		return left
	}
	return err.Error()
}

func wantVerdict(t *testing.T, source customer.Source, userID, want string) {
	t.Helper()
	url, err := source.Customer(t.Context(), clienttoken.User{ID: userID})
	if got := verdict(t, url, err); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func wantCalls(t *testing.T, asked interface{ calls() int }, want int) {
	t.Helper()
	if got := asked.calls(); got != want {
		t.Errorf("asked %d times, want %d", got, want)
	}
}

const life = 10 * time.Second

func TestLinksExpireAtTheEndOfTheirLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := annsStore()
		links := customer.NewLinkSource(sandbox(t), store, life)
		start := time.Now()
		for _, step := range []struct {
			at    time.Duration
			calls int
		}{{0, 1}, {1, 1}, {life / 2, 1}, {life - 1, 1}, {life, 2}, {2*life - 1, 2}, {2 * life, 3}} {
			<-time.After(step.at - time.Since(start))
			wantVerdict(t, links, "ann", customerA)
			wantCalls(t, store, step.calls)
		}
	})
}

func TestNothingIsCachedWithoutALifetime(t *testing.T) {
	for _, life := range []time.Duration{0, -time.Second} {
		store := annsStore()
		links := customer.NewLinkSource(sandbox(t), store, life)
		for n := range 3 {
			wantVerdict(t, links, "ann", customerA)
			wantCalls(t, store, n+1)
		}
	}
}

func TestLookupsAreNotSharedWithoutALifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := annsStore()
		store.takesNow(time.Second)
		links := customer.NewLinkSource(sandbox(t), store, 0)
		var early sync.WaitGroup
		early.Go(func() { wantVerdict(t, links, "ann", customerA) })
		synctest.Wait()
		if err := store.Link(t.Context(), "ann", customerB); err != nil { // by another replica
			t.Fatal(err)
		}
		wantVerdict(t, links, "ann", customerB)
		early.Wait()
	})
}

// The answer may be as old as the start of the lookup.
func TestLifetimesStartWithTheLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := annsStore()
		store.takesNow(4 * time.Second)
		links := customer.NewLinkSource(sandbox(t), store, life)
		wantVerdict(t, links, "ann", customerA)
		<-time.After(life - 4*time.Second - 1)
		wantVerdict(t, links, "ann", customerA)
		wantCalls(t, store, 1)
		<-time.After(1)
		wantVerdict(t, links, "ann", customerA)
		wantCalls(t, store, 2)
	})
}

func TestNoCustomerAndOutagesAreNotCached(t *testing.T) {
	store := &slowStore{}
	links := customer.NewLinkSource(sandbox(t), store, time.Hour)
	wantVerdict(t, links, "ann", none)
	wantVerdict(t, links, "ann", none)
	wantCalls(t, store, 2)
	store.fault = errors.New("disk on fire")
	wantVerdict(t, links, "ann", outage)
	wantVerdict(t, links, "ann", outage)
	wantCalls(t, store, 4)
	store.fault, store.links = nil, map[string]string{"ann": customerB} // by somebody else
	wantVerdict(t, links, "ann", customerB)
}

func TestCacheBridgesAnOutageForOneLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := annsStore()
		links := customer.NewLinkSource(sandbox(t), store, life)
		wantVerdict(t, links, "ann", customerA)
		store.fault = errors.New("disk on fire")
		<-time.After(life - 1)
		wantVerdict(t, links, "ann", customerA)
		wantVerdict(t, links, "bob", outage)
		<-time.After(1)
		wantVerdict(t, links, "ann", outage)
	})
}

func TestRemovedLinksExpireOnOtherReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := annsStore()
		links := customer.NewLinkSource(sandbox(t), store, life)
		wantVerdict(t, links, "ann", customerA)
		if err := store.Unlink(t.Context(), "ann"); err != nil {
			t.Fatal(err)
		}
		<-time.After(life / 2)
		wantVerdict(t, links, "ann", customerA) // to be used does not make it last
		<-time.After(life / 2)
		wantVerdict(t, links, "ann", none)
	})
}

func TestConcurrentLookupsAreOne(t *testing.T) {
	for name, c := range map[string]struct {
		links map[string]string
		fault error
		want  string
	}{
		"a Customer":  {annsStore().links, nil, customerA},
		"no Customer": {nil, nil, none},
		"an outage":   {nil, errors.New("disk on fire"), outage},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &slowStore{links: c.links, fault: c.fault, takes: time.Second}
				links := customer.NewLinkSource(sandbox(t), store, life)
				var askers sync.WaitGroup
				for range 100 {
					askers.Go(func() { wantVerdict(t, links, "ann", c.want) })
				}
				askers.Wait()
				wantCalls(t, store, 1)
			})
		})
	}
}

func TestLookupsOutliveACanceledCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := annsStore()
		store.takesNow(2 * time.Second)
		links := customer.NewLinkSource(sandbox(t), store, life)
		ctx, cancel := context.WithCancel(t.Context())
		var askers sync.WaitGroup
		askers.Go(func() {
			start := time.Now()
			url, err := links.Customer(ctx, clienttoken.User{ID: "ann"})
			if got := verdict(t, url, err); got != left || time.Since(start) != time.Second {
				t.Errorf("%s after %v", got, time.Since(start))
			}
		})
		synctest.Wait()
		for range 10 {
			askers.Go(func() { wantVerdict(t, links, "ann", customerA) })
		}
		<-time.After(time.Second)
		cancel()
		askers.Wait()
		wantVerdict(t, links, "ann", customerA)
		wantCalls(t, store, 1)
	})
}

func TestCanceledCallersStartNoLookup(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	store := annsStore()
	url, err := customer.NewLinkSource(sandbox(t), store, life).Customer(ctx, clienttoken.User{ID: "ann"})
	if got := verdict(t, url, err); got != left {
		t.Error(got)
	}
	wantCalls(t, store, 0)
}

func TestHangingStoreBecomesAnOutage(t *testing.T) {
	for _, life := range []time.Duration{0, life} {
		synctest.Test(t, func(t *testing.T) {
			store := annsStore()
			store.takesNow(time.Hour)
			links := customer.NewLinkSource(sandbox(t), store, life)
			start := time.Now()
			wantVerdict(t, links, "ann", outage)
			if took := time.Since(start); took != 5*time.Second {
				t.Errorf("it took %v", took)
			}
			store.takesNow(0)
			wantVerdict(t, links, "ann", customerA)
		})
	}
}

func TestCachedLinksTakeTwoMebibytesAtMost(t *testing.T) {
	store := &slowStore{links: map[string]string{}}
	links := customer.NewLinkSource(sandbox(t), store, time.Hour)
	const most = 10_000
	id := func(n int) string { return strings.Repeat("\U00010348", 240) + fmt.Sprint(n) } // 1 KB
	for n := range most {
		store.links[id(n)] = customerNumber(n)
	}
	before := liveHeap()
	for n := range most {
		wantVerdict(t, links, strings.Clone(id(n)), customerNumber(n))
	}
	if grown := int64(liveHeap()) - int64(before); grown > 2<<20 {
		t.Errorf("the links take %d bytes", grown)
	}
	wantVerdict(t, links, id(most-1), customerNumber(most-1)) // just used
	wantCalls(t, store, most)
	wantVerdict(t, links, id(0), customerNumber(0)) // evicted as least recently used
	wantCalls(t, store, most+1)
}

// liveHeap returns the bytes in use after a garbage collection.
func liveHeap() uint64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

func BenchmarkCachedLink(b *testing.B) {
	links := customer.NewLinkSource(sandbox(b), annsStore(), time.Hour)
	user := clienttoken.User{ID: "ann"}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := links.Customer(b.Context(), user); err != nil {
				b.Fatal(err)
			}
		}
	})
}
