package customer

import (
	"context"
	"time"

	"dropgate/internal/clienttoken"
)

// CachedSource caches the answers of a source by user id (see cache). The source must
// use nothing else of the user.
type CachedSource struct {
	source Source
	known  *cache[clienttoken.CustomerURL]
}

// NewCachedSource caches the answers of source for life. 0: no caching.
func NewCachedSource(source Source, life time.Duration) *CachedSource {
	return &CachedSource{source: source, known: newCache[clienttoken.CustomerURL](life)}
}

// Customer implements [Source].
func (r *CachedSource) Customer(ctx context.Context, user clienttoken.User) (clienttoken.CustomerURL, error) {
	return r.known.get(ctx, user.ID, func(ctx context.Context) (clienttoken.CustomerURL, error) {
		return r.source.Customer(ctx, user)
	})
}
