package customer

import (
	"context"
	"time"

	"dropgate/internal/customer/customerdb"
)

// UnlinkStore counts unlinks. A count and its users become visible together.
type UnlinkStore interface {
	// Unlinks returns the number of unlinks so far, by all processes.
	Unlinks(ctx context.Context) (customerdb.UnlinkCount, error)
	// UnlinkedSince returns at most limit users whose last unlink came after that count.
	UnlinkedSince(ctx context.Context, count customerdb.UnlinkCount, limit int) ([]string, error)
}

// UnlinkFollower drops the cached links of users unlinked by other processes. It reads
// the database, so commands and lost notices count, too.
type UnlinkFollower struct {
	Store UnlinkStore
	Links *LinkSource

	seen  customerdb.UnlinkCount
	began bool
}

const (
	// followEvery leaves 0.7 of the second in docs/scaling.md.
	followEvery = 300 * time.Millisecond
	// maxUnlinked bounds the users to drop one by one.
	maxUnlinked = 1000
)

// Run follows the store until ctx ends.
func (f *UnlinkFollower) Run(ctx context.Context) {
	for ctx.Err() == nil {
		f.look(ctx)
		select {
		case <-time.After(followEvery):
		case <-ctx.Done():
		}
	}
}

// look drops the changes since the last look. After an error the next look makes up for
// it, and readiness reports the outage.
func (f *UnlinkFollower) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, storePatience)
	defer cancel()
	now, err := f.Store.Unlinks(ctx)
	if err != nil || f.began && now == f.seen {
		return
	}
	// Links that were cached before the first look, or before an older database came
	// back, may be gone.
	if !f.began || now < f.seen {
		f.began, f.seen = true, now
		f.Links.ForgetAll()
		return
	}
	users, err := f.Store.UnlinkedSince(ctx, f.seen, maxUnlinked)
	if err != nil {
		return
	}
	f.seen = now
	if len(users) == maxUnlinked {
		f.Links.ForgetAll()
		return
	}
	for _, user := range users {
		f.Links.Forget(user)
		f.Links.Recheck(ctx, user)
	}
}
