package customer

import (
	"context"
	"time"

	"dropgate/internal/clienttoken"
)

// CachedSource is a source whose answers are remembered by the user's id (see
// cache). It is for a source that looks at nothing else of the user.
type CachedSource struct {
	source Source
	known  *cache[clienttoken.CustomerURL]
}

// Remember remembers the answers of source for life; zero: not at all.
func NewCachedSource(source Source, life time.Duration) *CachedSource {
	return &CachedSource{source: source, known: newCache[clienttoken.CustomerURL](life)}
}

// Customer implements [Source].
func (r *CachedSource) Customer(ctx context.Context, user clienttoken.User) (clienttoken.CustomerURL, error) {
	return r.known.get(ctx, user.ID, func(ctx context.Context) (clienttoken.CustomerURL, error) {
		return r.source.Customer(ctx, user)
	})
}
