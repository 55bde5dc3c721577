package handler_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dropgate/internal/auth/session"
)

// entries are the audit lines since mark, each as "event user outcome reason".
func (w *world) entries(t *testing.T, mark int) []string {
	t.Helper()
	var all []string
	for _, l := range w.logs.since(mark, "audit") {
		if l.text("request_id") == "" || l.text("client_ip") != "127.0.0.1" || l.text("mode") != "oidc" {
			t.Errorf("the entry is %v", l)
		}
		reason, _, _ := strings.Cut(l.text("reason"), ":")
		all = append(all, strings.TrimSpace(strings.Join([]string{l.text("event"), l.text("user"), l.text("outcome"), reason}, " ")))
	}
	return all
}

func (w *world) wantEntries(t *testing.T, mark int, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, w.entries(t, mark)); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

func TestSignInsAndSignOutsAreAudited(t *testing.T) {
	w := newWorld(t, withSignIn())
	b := w.browser(t)
	mark := w.logs.mark()
	b.signIn(alice, "")
	w.wantEntries(t, mark, "sign_in alice signed_in")

	mark = w.logs.mark()
	b.signIn(alice, "") // again in this browser
	w.wantEntries(t, mark, "sign_out alice signed_out replaced", "sign_in alice signed_in")

	mark = w.logs.mark()
	b.logout()
	w.wantEntries(t, mark, "sign_out alice signed_out logout")

	mark = w.logs.mark()
	b.logout() // of nobody
	w.wantEntries(t, mark)

	w.browser(t).signIn(alice, "")
	w.browser(t).signIn(alice, "")
	mark = w.logs.mark()
	w.do(t, w.notice("logout_token="+w.logoutToken(t, alice)))
	w.wantEntries(t, mark, "sign_out alice signed_out backchannel_logout", "sign_out alice signed_out backchannel_logout")
}

func TestEvictedSessionsAreAudited(t *testing.T) {
	w := newWorld(t, withSignIn())
	const most = 32
	for range most {
		w.browser(t).signIn(alice, "")
	}
	mark := w.logs.mark()
	w.browser(t).signIn(alice, "")
	w.wantEntries(t, mark, "sign_out alice signed_out displaced", "sign_in alice signed_in")
}

func TestFailedSignInOfKnownUserIsAudited(t *testing.T) {
	w := newWorld(t, withSignIn())
	b := w.browser(t)
	address := b.back(b.begin("/x"), alice)
	w.store.has(down)
	mark := w.logs.mark()
	b.open(address)
	w.store.has(nil)
	if got := w.entries(t, mark); len(got) != 1 || !strings.HasPrefix(got[0], "sign_in alice Unavailable") {
		t.Errorf("entries %q", got)
	}
}

func TestFailedSignInWithoutUserIsNotAudited(t *testing.T) {
	w := newWorld(t, withSignIn())
	mark := w.logs.mark()
	for _, query := range []string{"", "?state=x&code=y", "?error=access_denied&state=x"} {
		w.get(t, nobody, "/auth/callback"+query)
	}
	w.get(t, nobody, "/auth/login")
	w.wantEntries(t, mark)
}

func TestSessionNeedsItsAuditEntry(t *testing.T) {
	w := newWorld(t, withSignIn())
	b := w.browser(t)
	address := b.back(b.begin("/x"), alice)
	broken := errors.New("no space left on device")
	w.sink.breaks(broken, nil)
	a := b.open(address)
	a.shows(t, http.StatusServiceUnavailable, "Unavailable")
	if got := strings.Join(a.header["Set-Cookie"], "; "); strings.Contains(got, sessionCookie) {
		t.Errorf("the session cookie has left: %q", got)
	}
	left, err := w.store.End(t.Context(), session.Selector{Subject: alice})
	if len(left) != 0 || err != nil || !strings.Contains(w.metricsText(), "dropgate_sessions_started_total 1\n") {
		t.Errorf("%d sessions are left, error %v", len(left), err)
	}
}

func TestBrokenSinkKeepsTheCode(t *testing.T) {
	w := newWorld(t, withSignIn())
	b := w.browser(t)
	address := b.back(b.begin("/x"), alice)
	broken := errors.New("the output is stuck")
	w.sink.breaks(broken, broken)
	a := b.open(address)
	a.unavailable(t)
	w.sink.breaks(nil, nil)
	b.open(address)
	b.isSignedIn(alice)
}

func TestUnauditedLogoutIsAnOutage(t *testing.T) {
	w := newWorld(t, withSignIn())
	b := w.browser(t)
	b.signIn(alice, "")
	cookie := &http.Cookie{Name: sessionCookie, Value: b.session()}
	w.sink.breaks(errors.New("no space left on device"), nil)
	a := b.logout()
	a.failed(t, http.StatusServiceUnavailable, "Unavailable")
	w.sink.breaks(nil, nil)
	b.keep(cookie)
	b.vendRefused()
}
