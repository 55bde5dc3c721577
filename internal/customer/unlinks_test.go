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
	cached(t, links, ann)
	cached(t, links, bob)
	l.do(func() { l.linked["ann"] = false }) // without an unlink: only a full drop shows it
	change(l)
	return links
}

func cached(t *testing.T, links *customer.LinkSource, user clienttoken.User) {
	t.Helper()
	if _, err := links.Customer(t.Context(), user); err != nil {
		t.Errorf("%s: %v, want a Customer", user.ID, err)
	}
}

func dropped(t *testing.T, links *customer.LinkSource, user clienttoken.User) {
	t.Helper()
	if _, err := links.Customer(t.Context(), user); !errors.Is(err, clienttoken.ErrNoCustomer) {
		t.Errorf("%s: %v, want ErrNoCustomer", user.ID, err)
	}
}

func TestUnlinkElsewhereDropsOnlyThatUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		links := follow(t, func(l *ledger) { _ = l.Unlink(t.Context(), "bob") })
		later(300 * time.Millisecond)
		dropped(t, links, bob)
		cached(t, links, ann)
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
		dropped(t, links, ann)
	})
}

func TestRestoredDatabaseDropsAllLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		links := follow(t, func(l *ledger) { l.do(func() { l.order = l.order[:1] }) })
		later(300 * time.Millisecond)
		dropped(t, links, ann)
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
		cached(t, links, bob)
		stored.do(func() { stored.fault = nil })
		later(300 * time.Millisecond)
		dropped(t, links, bob)
		cached(t, links, ann)
	})
}

// later waits in the time of a bubble.
func later(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}
