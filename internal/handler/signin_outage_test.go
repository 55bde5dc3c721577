package handler_test

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"dropgate/internal/auth/session"
	"dropgate/internal/clienttoken"
	"dropgate/internal/keyring"
)

// outages are stores with functions to stop and restart them.
var outages = map[string]func(*testing.T) (option func(*signIn), down, up func(*world)){
	"a store that says so": func(*testing.T) (option func(*signIn), fall, rise func(*world)) {
		return func(*signIn) {}, func(w *world) { w.store.has(down) }, func(w *world) { w.store.has(nil) }
	},
	"Redis": func(t *testing.T) (option func(*signIn), fall, rise func(*world)) {
		t.Helper()
		server := miniredis.RunT(t)
		option = func(s *signIn) {
			client := redis.NewClient(&redis.Options{Addr: server.Addr(), DialerRetries: 1, MaxRetries: 1})
			t.Cleanup(func() { _ = client.Close() })
			s.store.Store = session.NewRedis(session.RedisConfig{
				Client: client, Limits: s.clock.limits(), Keys: keyring.Of(clienttoken.NewSecret("a secret of the service")),
				Scope: session.Scope{Issuer: "https://id.example.com"}, Logger: zerolog.Nop(), Registerer: prometheus.NewRegistry(),
			})
		}
		return option, func(*world) { server.Close() }, func(*world) {
			if err := server.Restart(); err != nil {
				t.Fatal(err)
			}
		}
	},
}

// unavailable fails t unless a reports an outage and leaves the cookies.
func (a *answer) unavailable(t *testing.T) {
	t.Helper()
	if a.page != nil {
		a.shows(t, http.StatusServiceUnavailable, "Unavailable")
	} else {
		a.refused(t, http.StatusServiceUnavailable, "Unavailable")
	}
	if seconds, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || seconds < 1 || seconds > 60 {
		t.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
	}
	if a.header["Set-Cookie"] != nil {
		t.Errorf("Set-Cookie is %q", a.header["Set-Cookie"])
	}
}

func TestSessionSurvivesStoreOutage(t *testing.T) {
	for name, outage := range outages {
		t.Run(name, func(t *testing.T) {
			option, fall, rise := outage(t)
			w := newWorld(t, withSignIn(option))
			b := w.browser(t)
			b.signIn(alice, "")
			before := b.session()
			fall(w)
			for _, a := range []answer{
				b.vend(), b.ask(http.MethodGet, "/session"), b.logout(),
				w.do(t, w.notice("logout_token="+w.logoutToken(t, alice))),
			} {
				a.unavailable(t)
			}
			other := w.browser(t)
			if a := other.logout(); a.status != http.StatusOK { // without a cookie the store is not asked
				t.Errorf("answer %d", a.status)
			}
			a := w.vend(t, alice, `{"action":"customer.read"}`) // the other mode goes on
			a.vended(t, w.filled(sentRead))
			rise(w)
			if b.session() != before {
				t.Error("the browser has lost its cookie")
			}
			b.isSignedIn(alice)
			a = b.vend()
			a.vended(t, w.filled(sentRead))
			b.logout()
			b.isSignedIn(nobody)
		})
	}
}

// The same callback does not work again, because the provider has already
// redeemed its code. One more press of the link does, past the login page.
func TestSignInPageRetriesAfterStoreOutage(t *testing.T) {
	for name, outage := range outages {
		t.Run(name, func(t *testing.T) {
			option, fall, rise := outage(t)
			w := newWorld(t, withSignIn(option))
			b := w.browser(t)
			address := b.back(b.begin("/x"), alice)
			fall(w)
			a := b.open(address)
			a.unavailable(t)
			a.access.has(t, accessLine{User: alice, Mode: "oidc"}) // named by the ID token
			again := a.page.again
			rise(w)
			b.isSignedIn(nobody)

			a = b.open(address)
			a.shows(t, http.StatusBadRequest, "code_refused")
			if _, exchanges := w.wire.seen(); exchanges != 2 || a.page.again != again {
				t.Errorf("%d exchanges; the page leads to %q, before to %q", exchanges, a.page.again, again)
			}
			b.isSignedIn(nobody)

			a = b.open(b.back(b.open(again).header.Get("Location"), nobody)) // no button is pressed
			if got := a.header.Get("Location"); got != w.url+"/x" {
				t.Errorf("the second sign-in ends at %q (%s)", got, a.access.Reason)
			}
			b.isSignedIn(alice)
		})
	}
}

func TestFailedSignInKeepsTheOldSession(t *testing.T) {
	w := newWorld(t, withSignIn())
	b := w.browser(t)
	b.signIn(alice, "")
	address := b.back(b.begin("/x"), alice)
	w.store.has(down)
	a := b.open(address)
	a.unavailable(t)
	w.store.has(nil)
	b.isSignedIn(alice)
}

// TestDisconnectedCallerEndsNoSession cuts each request while the store is busy
// with it. While a body is unread, net/http does not notice the disconnect. There
// the store gives up.
func TestDisconnectedCallerEndsNoSession(t *testing.T) {
	w := newWorld(t, withSignIn())
	b := w.browser(t)
	b.signIn(alice, "")
	replacing := b.back(b.begin("/x"), alice)
	b.follow(replacing)
	_, query, _ := strings.Cut(replacing, "?")
	old := &http.Cookie{Name: sessionCookie, Value: b.session()}
	token := w.logoutToken(t, alice)
	for name, r := range map[string]*http.Request{
		"vend":               w.request(nobody, http.MethodPost, "/client-tokens", body(`{"action":"customer.read"}`), fromPage("same-origin", w.url)),
		"session":            w.request(nobody, http.MethodGet, "/session"),
		"logout":             w.request(nobody, http.MethodPost, "/auth/logout", fromPage("same-origin", w.url)),
		"callback":           w.request(nobody, http.MethodGet, "/auth/callback?"+query),
		"backchannel-logout": w.notice("logout_token=" + token),
	} {
		t.Run(name, func(t *testing.T) {
			for _, cookie := range b.jar.Cookies(r.URL) {
				r.AddCookie(cookie)
			}
			mark := w.logs.mark()
			w.leaves(t, r)
			accessLineOf(t, w.logs.await(t, mark, "access")).has(t, accessLine{Status: 499, Code: "ClientClosedRequest"})
			w.store.has(nil)
			b.keep(old)
			b.isSignedIn(alice)
		})
	}
}

// leaves sends a request, and goes away while the store is busy with it.
func (w *world) leaves(t *testing.T, r *http.Request) {
	t.Helper()
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	gaveUp := make(chan struct{})
	w.store.has(func(ctx context.Context, _ string) error {
		leave()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-gaveUp:
			return context.Canceled
		}
	})
	resp, err := w.client.Do(r.WithContext(ctx))
	if err == nil {
		_ = resp.Body.Close()
	}
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("the call ended with %v", err)
	}
	if r.URL.Path == "/client-tokens" {
		close(gaveUp)
	}
}
