package handler_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dropgate/internal/auth/session"
	"dropgate/internal/customer/customerdb"
)

// keepAlive sends POST /session from a page of the service's own origin.
func (b *browser) keepAlive(edits ...with) answer {
	b.t.Helper()
	return b.ask(http.MethodPost, "/session", edits...)
}

// expires returns the session's end. The request does not move it.
func (b *browser) expires(t *testing.T) string {
	t.Helper()
	at, _ := sessionOf(t, b.ask(http.MethodGet, "/session"))["expiresAt"].(string)
	return at
}

func TestKeepAliveRestartsTheIdleTime(t *testing.T) {
	w := newWorld(t, withSignIn())
	b := w.signedIn(t, alice)
	before := sessionOf(t, b.ask(http.MethodGet, "/session"))
	w.clock.move(idle - time.Minute)
	a := b.keepAlive() // the harness allows it no audit line and no cookie
	got := sessionOf(t, a)
	a.access.has(t, accessLine{Method: "POST", Route: "/session", Mode: "oidc", User: alice, Code: empty})
	if at := b.expires(t); at != got["expiresAt"] || at == before["expiresAt"] {
		t.Errorf("the answer says %v, GET /session %s; before it was %v", got["expiresAt"], at, before["expiresAt"])
	}
	delete(got, "expiresAt")
	delete(before, "expiresAt")
	if diff := cmp.Diff(before, got); diff != "" {
		t.Errorf("GET (-) and POST (+) differ:\n%s", diff)
	}
	w.clock.move(idle - time.Minute)
	b.isSignedIn(alice)
	w.clock.move(2 * time.Minute)
	b.isSignedIn(nobody)
}

func TestKeepAliveEndsWithTheLifetime(t *testing.T) {
	w := newWorld(t, withSignIn())
	b := w.signedIn(t, alice)
	deadline := w.clock.now().Add(lifetime)
	for spent := time.Duration(0); spent+idle < lifetime; spent += idle - time.Minute {
		w.clock.move(idle - time.Minute)
		sessionOf(t, b.keepAlive())
	}
	last, err := time.Parse(time.RFC3339, b.expires(t))
	if err != nil || last.After(deadline) {
		t.Errorf("the session ends at %v (%v), after its lifetime, %v", last, err, deadline)
	}
	w.clock.move(last.Sub(w.clock.now()) + time.Second)
	a := b.keepAlive()
	a.refused(t, http.StatusUnauthorized, "Unauthenticated")
}

func TestKeepAliveRevivesNoEndedSession(t *testing.T) {
	w := newWorld(t, withSignIn())
	idled, left := w.signedIn(t, alice), w.signedIn(t, alice)
	ended := &http.Cookie{Name: sessionCookie, Value: left.session(), Path: "/"}
	left.logout()
	left.keep(ended)
	w.clock.move(idle)
	for _, b := range []*browser{idled, left, w.browser(t)} {
		for range 2 {
			a := b.keepAlive()
			a.refused(t, http.StatusUnauthorized, "Unauthenticated")
			b.isSignedIn(nobody)
		}
	}
}

func TestRefusedKeepAliveExtendsNothing(t *testing.T) {
	chunked := func(content string) with {
		return func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader(content)), -1 }
	}
	w := newWorld(t, withSignIn(), allowedOrigins(app))
	b := w.signedIn(t, alice)
	before := b.expires(t)
	w.clock.move(time.Minute)
	for name, row := range map[string]struct {
		edit   with
		status int
	}{
		"another site":         {fromPage("cross-site", evil), http.StatusForbidden},
		"a subdomain":          {fromPage("same-site", "https://other.app.example.com"), http.StatusForbidden},
		"no origin":            {func(r *http.Request) { without("Origin")(r); without("Sec-Fetch-Site")(r) }, http.StatusForbidden},
		"the body of tokenUrl": {body(`{"action":"customer.read"}`), http.StatusBadRequest},
		"a byte, chunked":      {chunked(" "), http.StatusBadRequest},
	} {
		a := b.keepAlive(row.edit)
		a.refused(t, row.status, map[int]string{400: "BadRequest", 403: "CrossOriginRequest"}[row.status])
		if got := b.expires(t); got != before {
			t.Errorf("%s: the session ends at %s, before it was %s", name, got, before)
		}
	}
	for name, edit := range map[string]with{"an allowed origin": fromPage("cross-site", app), "an empty body, chunked": chunked("")} {
		w.clock.move(time.Minute)
		a := b.keepAlive(edit)
		if at := sessionOf(t, a)["expiresAt"]; at == before {
			t.Errorf("%s: the session still ends at %v", name, at)
		}
	}
}

func TestKeepAliveIsChargedAsGET(t *testing.T) {
	w := newWorld(t, withSignIn(), limits(9, 0))
	b := w.signedIn(t, alice)
	for range 9 {
		sessionOf(t, b.keepAlive())
	}
	w.clock.move(idle / 2)
	a := b.keepAlive()
	a.tooMany(t, "user")
	for outcome, want := range map[string]string{"ok": "9", "limited": "1"} {
		if got := w.series()[`dropgate_session_store_requests_total{operation="find",outcome="`+outcome+`"}`]; got != want {
			t.Errorf("the store answered %q %s times, want %s", outcome, got, want)
		}
	}
	w.clock.move(idle/2 + time.Second) // the refused request has not extended it
	key, _ := session.KeyOf(b.session())
	if _, err := w.store.Find(t.Context(), key, session.Peek, nil); !errors.Is(err, session.ErrNone) {
		t.Errorf("%v, want %v", err, session.ErrNone)
	}
}

func TestKeepAliveAnswersLikeGETInEveryMode(t *testing.T) {
	for mode, c := range map[string]struct {
		option func(*setup)
		edits  func(*world) []with
	}{
		"bearer":  {func(*setup) {}, func(w *world) []with { return []with{header("Authorization", "Bearer "+w.token(alice))} }},
		"forward": {withMode(forwardMode(t)), func(*world) []with { return []with{header("Cookie", "app=the-session-of-alice")} }},
		"proxy":   {withMode(proxyMode()), func(*world) []with { return []with{header(userHeader, alice), header("X-Proxy-Secret", proxySecret)} }},
	} {
		t.Run(mode, func(t *testing.T) {
			w := newWorld(t, c.option, fromSQLite(t, func(*customerdb.Database) {}))
			edits := append(c.edits(w), fromPage("same-origin", w.url))
			want := sessionOf(t, w.get(t, nobody, "/session", edits...))
			got := sessionOf(t, w.do(t, w.request(nobody, http.MethodPost, "/session", edits...)))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("GET (-) and POST (+) differ:\n%s", diff)
			}
		})
	}
}

func TestKeepAliveIsUnavailableInAnOutage(t *testing.T) {
	w := newWorld(t, withSignIn())
	b := w.signedIn(t, alice)
	w.store.has(down)
	a := b.keepAlive()
	a.refused(t, http.StatusServiceUnavailable, "Unavailable")
	if a.header.Get("Retry-After") != "7" {
		t.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
	}
	w.store.has(nil)
	sessionOf(t, b.keepAlive())
}
