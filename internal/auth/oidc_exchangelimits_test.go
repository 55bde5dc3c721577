package auth_test

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// countExchanges counts the calls of the token endpoint.
func (w *oidcHarness) countExchanges(answer http.HandlerFunc) *atomic.Int64 {
	var calls atomic.Int64
	w.idp.serve(tokenAt, func(rw http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		answer(rw, r)
	})
	return &calls
}

// A stranger must not make us send our secret repeatedly.
func TestJunkCodeIsExchangedOnce(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		calls := w.countExchanges(w.op.token)
		b := w.browser(t)
		query := w.op.authorize(b.begin(""))
		for n := range 100 {
			query.Set("code", fmt.Sprint("junk", n))
			_, err := b.copied().callback(query) // with the previous cookie
			checkProtocol(t, err, map[bool]string{true: "code_refused", false: "state_used"}[n == 0])
		}
		if calls.Load() != 1 {
			t.Errorf("%d exchanges", calls.Load())
		}
	})
}

func TestOutageAllowsThreeExchangesPerSignIn(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		calls := w.countExchanges(status(http.StatusServiceUnavailable))
		b := w.browser(t)
		query := w.op.authorize(b.begin(""))
		for range 100 {
			_, _ = b.copied().callback(query)
		}
		if calls.Load() != 3 {
			t.Errorf("%d exchanges", calls.Load())
		}
	})
}

func TestExchangesAreBoundedOverall(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		var now, most atomic.Int64
		calls := w.countExchanges(func(rw http.ResponseWriter, r *http.Request) {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer now.Add(-1)
			after(500*time.Millisecond, w.op.token)(rw, r)
		})
		for range 4 {
			for range 150 {
				go func() {
					b := w.browser(t)
					query := w.op.authorize(b.begin(""))
					query.Set("code", "junk")
					_, _ = b.callback(query)
				}()
			}
			advance(time.Second)
		}
		advance(10 * time.Second)
		if n := calls.Load(); n > 100+4*50 || n < 150 || most.Load() > 32 {
			t.Errorf("%d exchanges in 4 s, %d at once", n, most.Load())
		}
		w.browser(t).signIn()
	})
}
