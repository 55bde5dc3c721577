package session_test

import (
	"testing"

	"dropgate/internal/auth/session"
)

// BenchmarkFind measures the cost of a session per request.
func BenchmarkFind(b *testing.B) {
	for kind, newWorld := range map[string]func(testing.TB) *world{"Memory": newMemory, "Redis": newRedis} {
		b.Run(kind, func(b *testing.B) {
			w := newWorld(b)
			key := w.start(b, w.of("ann", "browser"))
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := w.Find(b.Context(), key, session.Extend, nil); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
