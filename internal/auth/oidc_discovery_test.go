package auth_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/auth"
	"dropgate/internal/clienttoken"
)

func (w *oidcHarness) tryBegin(b *browser) error {
	_, err := w.oidc.Begin(b.request(http.MethodGet, "/dropgate/auth/login", false))
	return err
}

func TestBeginRecoversAfterProviderOutage(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		w.idp.serve(discovery, status(http.StatusInternalServerError))
		b := w.browser(t)
		err := w.tryBegin(b)
		checkFailure(t, err)
		if failure, _ := errors.AsType[*clienttoken.Failure](err); failure == nil || failure.RetryAfter != time.Second {
			t.Errorf("%+v, want RetryAfter 1 s", failure)
		}
		w.serveMetadata(nil)
		checkFailure(t, w.tryBegin(b))
		advance(time.Second)
		if err := w.tryBegin(b); err != nil {
			t.Error(err)
		}
		b.signIn()
	})
}

func TestDiscoveryBacksOffUpTo30Seconds(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		w.idp.serve(discovery, status(http.StatusBadGateway))
		b := w.browser(t)
		for time.Since(midnight) < 122*time.Second {
			checkFailure(t, w.tryBegin(b))
			advance(100 * time.Millisecond)
		}
		var got []time.Duration
		for _, at := range w.idp.fetched() {
			got = append(got, at.Sub(midnight))
		}
		want := []time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second, 15 * time.Second, 31 * time.Second, 61 * time.Second, 91 * time.Second, 121 * time.Second}
		if !slices.Equal(got, want) {
			t.Errorf("fetches at %v, want %v", got, want)
		}
	})
}

// A ready replica must be able to sign users in.
func TestDiscoveryRetriesWhenKeysArrive(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		w.idp.serve(discovery, status(http.StatusBadGateway))
		w.idp.serve(jwks, status(http.StatusBadGateway))
		go w.keys.Run(t.Context())
		b := w.browser(t)
		for time.Since(midnight) < time.Minute {
			checkFailure(t, w.tryBegin(b))
			advance(100 * time.Millisecond)
		}
		w.serveMetadata(nil)
		w.idp.publish(published()...)
		for w.keys.Missing() != nil {
			advance(10 * time.Millisecond)
		}
		if err := w.tryBegin(b); err != nil {
			t.Error(err)
		}
	})
}

// Earlier failures must not slow later retries.
func TestDiscoverySuccessResetsBackOff(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		w.idp.serve(discovery, status(http.StatusBadGateway))
		for range 100 {
			_ = w.tryBegin(b)
			advance(time.Second)
		}
		w.serveMetadata(nil)
		advance(30 * time.Second)
		b.begin("")
		advance(time.Hour)
		w.idp.serve(discovery, status(http.StatusBadGateway))
		before := len(w.idp.fetched())
		for range 40 {
			b.begin("")
			advance(100 * time.Millisecond)
		}
		if n := len(w.idp.fetched()) - before; n != 3 {
			t.Errorf("%d fetches in 4 s, want those at 0 s, 1 s and 3 s", n)
		}
	})
}

func TestConcurrentSignInsShareOneDiscoveryFetch(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		up := w.idp.pages[discovery]
		w.idp.serve(discovery, after(3*time.Second, up))
		b := w.browser(t)
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			_, err := w.oidc.Begin(b.request(http.MethodGet, "/", false).WithContext(ctx))
			if !errors.Is(err, context.Canceled) || time.Since(midnight) != time.Second {
				t.Errorf("the canceled caller: %v after %v", err, time.Since(midnight))
			}
		})
		synctest.Wait() // this caller started the fetch
		for range 100 {
			all.Go(func() {
				if err := w.tryBegin(b); err != nil {
					t.Error(err)
				}
			})
		}
		advance(time.Second)
		cancel()
		all.Wait()
		if n := len(w.idp.fetched()); n != 1 || time.Since(midnight) != 3*time.Second {
			t.Errorf("%d fetches after %v, want 1 after 3 s", n, time.Since(midnight))
		}
	})
}

func TestDiscoveryTimesOutAfterFiveSeconds(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		w.idp.serve(discovery, after(time.Hour, text("")))
		checkFailure(t, w.tryBegin(w.browser(t)))
		if waited := time.Since(midnight); waited != 5*time.Second {
			t.Errorf("waited %v", waited)
		}
	})
}

func TestMetadataIsRefreshedHourlyInBackground(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		host := func(want string) {
			t.Helper()
			start := time.Now()
			if got := b.begin("").Path; got != want || time.Since(start) != 0 {
				t.Errorf("%s after %v, want %s at once", got, time.Since(start), want)
			}
			synctest.Wait()
		}
		host(authorizeAt)
		advance(time.Hour - time.Second)
		w.idp.serve(discovery, status(http.StatusInternalServerError))
		host(authorizeAt)
		if n := len(w.idp.fetched()); n != 1 {
			t.Errorf("%d fetches within the hour", n)
		}
		for range 100 { // a long outage
			advance(time.Minute)
			host(authorizeAt)
		}
		if n := len(w.idp.fetched()); n != 101 {
			t.Errorf("%d fetches, want one a minute", n)
		}
		w.serveMetadata(object{"authorization_endpoint": issuer + "/new"})
		advance(time.Minute)
		host(authorizeAt) // refreshed in the background
		host("/new")
		advance(59 * time.Minute)
		n := len(w.idp.fetched())
		host("/new")
		if len(w.idp.fetched()) != n {
			t.Error("fetched again within the hour")
		}
	})
}

func TestUntrustworthyMetadataIsRefused(t *testing.T) {
	good := func(edits object) object {
		return edited(object{
			"issuer": issuer, "jwks_uri": issuer + jwks, "authorization_endpoint": issuer + authorizeAt,
			"token_endpoint": issuer + tokenAt, "end_session_endpoint": issuer + endSessionAt,
		}, edits)
	}
	pages := map[string]http.HandlerFunc{
		"another issuer":            document(good(object{"issuer": "https://evil.example.com"})),
		"issuer with a slash":       document(good(object{"issuer": issuer + "/"})),
		"issuer in another case":    document(good(object{"issuer": "https://ID.example.com"})),
		"no issuer":                 document(good(object{"issuer": absent{}})),
		"http keys":                 document(good(object{"jwks_uri": "http://id.example.com/keys"})),
		"http authorization":        document(good(object{"authorization_endpoint": "http://id.example.com/authorize"})),
		"javascript authorization":  document(good(object{"authorization_endpoint": "javascript:alert(1)"})),
		"http token":                document(good(object{"token_endpoint": "http://id.example.com/token"})),
		"http end of the session":   document(good(object{"end_session_endpoint": "http://id.example.com/end"})),
		"a relative token endpoint": document(good(object{"token_endpoint": "/token"})),
		"no authorization":          document(good(object{"authorization_endpoint": absent{}})),
		"no token endpoint":         document(good(object{"token_endpoint": absent{}})),
		"more than 100 KiB":         document(good(object{"pad": strings.Repeat("x", 100<<10)})),
		"spaces to 100 KiB":         text(asJSON(good(nil)) + strings.Repeat(" ", 100<<10)),
		"no JSON":                   text("<html>"),
		"half of it":                text(`{"issuer":"` + issuer + `"`),
		"a list":                    text("[]"),
		"nothing":                   text(""),
		"404":                       withStatusAnd(http.StatusNotFound, asJSON(good(nil))),
		"201":                       withStatusAnd(http.StatusCreated, asJSON(good(nil))),
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://elsewhere.example.com/config", http.StatusTemporaryRedirect)
		},
	}
	for name, page := range pages {
		t.Run(name, func(t *testing.T) {
			withOIDC(t, func(t *testing.T, w *oidcHarness) {
				w.idp.serve("/config", document(good(nil)))
				w.idp.serve(discovery, page)
				b := w.browser(t)
				checkFailure(t, w.tryBegin(b))
				w.idp.serve(discovery, document(good(nil)))
				advance(time.Second)
				if err := w.tryBegin(b); err != nil {
					t.Errorf("later: %v", err)
				}
				if hosts := slices.Compact(w.idp.asked()); !slices.Equal(hosts, []string{"id.example.com"}) {
					t.Errorf("asked %q", hosts)
				}
			})
		})
	}
}

func TestLocalProviderMayUsePlainHTTP(t *testing.T) {
	const local = "http://127.0.0.1:9000"
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		w.serveMetadata(object{"issuer": local, "authorization_endpoint": local + authorizeAt, "token_endpoint": local + tokenAt})
		if at := w.browser(t).begin(""); at.Host != "127.0.0.1:9000" {
			t.Errorf("sent to %s", at)
		}
	}, func(c *auth.OIDCConfig) {
		c.Issuer = local
		c.Keys = auth.NewKeySet(auth.KeySetConfig{Issuer: local, Transport: c.Transport, Registerer: prometheus.NewRegistry()})
	})
}
