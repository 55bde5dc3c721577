package customer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
	"dropgate/internal/customer/customerdb"
)

// ledger is a database of links and unlinks by other processes.
type ledger struct {
	mu     sync.Mutex
	linked map[string]bool
	order  []string // unlinked users
	fault  error
}

var _ interface {
	customer.Store
	customer.UnlinkStore
} = (*ledger)(nil)

func (l *ledger) do(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

// Customer implements customer.Store.
func (l *ledger) Customer(_ context.Context, userID string) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.linked[userID] {
		return "", clienttoken.ErrNoCustomer
	}
	return customerA, l.fault
}

// Link implements customer.Store.
func (l *ledger) Link(_ context.Context, userID, _ string) error {
	l.do(func() { l.linked[userID] = true })
	return nil
}

// Unlink implements customer.Store.
func (l *ledger) Unlink(_ context.Context, userID string) error {
	l.do(func() { l.linked[userID] = false; l.order = append(l.order, userID) })
	return nil
}

// Unlinks implements customer.UnlinkStore.
func (l *ledger) Unlinks(context.Context) (customerdb.UnlinkCount, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return customerdb.UnlinkCount(len(l.order)), l.fault
}

// UnlinkedSince implements customer.UnlinkStore.
func (l *ledger) UnlinkedSince(_ context.Context, count customerdb.UnlinkCount, limit int) ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	since := slices.Clone(l.order[count:])
	return since[:min(len(since), limit)], l.fault
}

// follow runs a follower of a ledger with links of ann and bob in its cache.
func follow(t *testing.T, change func(l *ledger)) (links *customer.LinkSource) {
	t.Helper()
	l := &ledger{linked: map[string]bool{"ann": true, "bob": true}}
	links = customer.NewLinkSource(sandbox(t), l, time.Hour)
	_ = l.Unlink(t.Context(), "carl")
	_ = l.Unlink(t.Context(), "dora")
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	follower := customer.UnlinkFollower{Store: l, Links: links}
	go follower.Run(ctx)
	synctest.Wait()
	for _, user := range []clienttoken.User{ann, bob} {
		has(t, links, user, true)
	}
	l.do(func() { l.linked["ann"] = false }) // nobody says so: what stays in the cache is seen
	change(l)
	return links
}

func has(t *testing.T, links *customer.LinkSource, user clienttoken.User, want bool) {
	t.Helper()
	_, err := links.Customer(t.Context(), user)
	if err != nil && !errors.Is(err, clienttoken.ErrNoCustomer) {
		t.Fatal(err)
	}
	if (err == nil) != want {
		t.Errorf("%s has a Customer: %t, want %t", user.ID, err == nil, want)
	}
}

func TestUnlinkElsewhereDropsOnlyThatUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		links := follow(t, func(l *ledger) { _ = l.Unlink(t.Context(), "bob") })
		later(300 * time.Millisecond)
		has(t, links, bob, false)
		has(t, links, ann, true) // cached
	})
}

func TestManyUnlinksElsewhereDropAllLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		links := follow(t, func(l *ledger) {
			for i := range 1000 {
				_ = l.Unlink(t.Context(), fmt.Sprint(i))
			}
		})
		later(300 * time.Millisecond)
		has(t, links, ann, false)
	})
}

func TestRestoredDatabaseDropsAllLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		links := follow(t, func(l *ledger) { l.do(func() { l.order = l.order[:1] }) })
		later(300 * time.Millisecond)
		has(t, links, ann, false)
	})
}

func TestUnlinkDuringOutageCountsAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stored *ledger
		links := follow(t, func(l *ledger) {
			stored = l
			_ = l.Unlink(t.Context(), "bob")
			l.do(func() { l.fault = errors.New("down") })
		})
		later(10 * time.Second)
		has(t, links, bob, true) // cached
		stored.do(func() { stored.fault = nil })
		later(300 * time.Millisecond)
		has(t, links, bob, false)
		has(t, links, ann, true)
	})
}

// later waits in the time of a bubble.
func later(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}
