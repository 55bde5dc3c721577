package customer_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
)

// changes returns every change this replica notices, each with ann's Customer after
// it.
func changes(t *testing.T, links *customer.LinkSource, store *slowStore) map[string]func() string {
	t.Helper()
	return map[string]func() string{
		"a link": func() string {
			if err := links.Link(t.Context(), "ann", customerURL(t, customerB)); err != nil {
				t.Error(err)
			}
			return customerB
		},
		"an unlink": func() string {
			if err := links.Unlink(t.Context(), "ann"); err != nil {
				t.Error(err)
			}
			return none
		},
		"a webhook": func() string {
			if err := store.Link(t.Context(), "ann", customerB); err != nil {
				t.Error(err)
			}
			links.Changed("ann")
			return customerB
		},
		"a link of unknown outcome": func() string {
			store.fault = errors.New("the connection broke")
			defer func() { store.fault = nil }()
			wantFailure(t, links.Link(t.Context(), "ann", customerURL(t, customerB)))
			return customerB
		},
		"an unlink of unknown outcome": func() string {
			store.fault = errors.New("the connection broke")
			defer func() { store.fault = nil }()
			wantFailure(t, links.Unlink(t.Context(), "ann"))
			return none
		},
		"an unlink by a caller who left": func() string {
			store.fault = context.Canceled
			defer func() { store.fault = nil }()
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			wantError(t, links.Unlink(ctx, "ann"), context.Canceled)
			return none
		},
	}
}

// eachChange runs test for each change, in its own synctest bubble.
func eachChange(t *testing.T, test func(t *testing.T, links *customer.LinkSource, store *slowStore, change func() string)) {
	t.Helper()
	for name := range changes(t, nil, nil) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := annsStore()
				links := customer.NewLinkSource(sandbox(t), store, life)
				test(t, links, store, changes(t, links, store)[name])
			})
		})
	}
}

func TestLocalChangesTakeEffectAtOnce(t *testing.T) {
	eachChange(t, func(t *testing.T, links *customer.LinkSource, store *slowStore, change func() string) {
		store.links["bob"] = customerNumber(1)
		wantVerdict(t, links, "ann", customerA)
		wantVerdict(t, links, "bob", customerNumber(1))
		wantVerdict(t, links, "ann", change())
		wantVerdict(t, links, "bob", customerNumber(1))
		wantCalls(t, store, 3) // bob is still cached
	})
}

// The change comes after the store has read the old row, and before its answer.
func TestAnswersOlderThanAChangeAreNotCached(t *testing.T) {
	eachChange(t, func(t *testing.T, links *customer.LinkSource, store *slowStore, change func() string) {
		store.takesNow(time.Second)
		var early sync.WaitGroup
		early.Go(func() { wantVerdict(t, links, "ann", customerA) })
		synctest.Wait() // the row was read
		want := change()
		early.Wait() // the answer has come
		store.takesNow(0)
		wantVerdict(t, links, "ann", want)
		wantCalls(t, store, 2)
	})
}

func TestCallersAfterAChangeStartANewLookup(t *testing.T) {
	eachChange(t, func(t *testing.T, links *customer.LinkSource, store *slowStore, change func() string) {
		store.takesNow(2 * time.Second)
		var early sync.WaitGroup
		early.Go(func() { wantVerdict(t, links, "ann", customerA) })
		synctest.Wait()
		want, start := change(), time.Now()
		store.takesNow(0)
		wantVerdict(t, links, "ann", want)
		if time.Since(start) != 0 {
			t.Errorf("waited for %v", time.Since(start))
		}
		early.Wait()
		wantVerdict(t, links, "ann", want) // nor does the early answer get in later
	})
}

func TestChangesAffectOneUserOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := annsStore()
		store.takesNow(time.Second)
		links := customer.NewLinkSource(sandbox(t), store, life)
		var early sync.WaitGroup
		early.Go(func() { wantVerdict(t, links, "ann", customerA) })
		synctest.Wait()
		links.Changed("bob")
		early.Wait()
		wantVerdict(t, links, "ann", customerA)
		wantCalls(t, store, 1)
	})
}

// While readers run, one caller links and unlinks, and checks after each change.
func TestChangesAreFinalDuringLookups(t *testing.T) {
	store := &slowStore{}
	links := customer.NewLinkSource(sandbox(t), store, time.Hour)
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 8 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					_, _ = links.Customer(t.Context(), clienttoken.User{ID: "ann"})
				}
			}
		})
	}
	for n := range 2000 {
		id := customerNumber(n)
		if err := links.Link(t.Context(), "ann", customerURL(t, id)); err != nil {
			t.Fatal(err)
		}
		wantVerdict(t, links, "ann", id)
		if err := links.Unlink(t.Context(), "ann"); err != nil {
			t.Fatal(err)
		}
		wantVerdict(t, links, "ann", none)
	}
	close(done)
	readers.Wait()
}
