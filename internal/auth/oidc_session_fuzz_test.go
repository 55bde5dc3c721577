package auth_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/auth"
	"dropgate/internal/auth/session"
	"dropgate/internal/clienttoken"
)

// For any Cookie header, only a single session cookie with the exact id is
// accepted. Anything else ends no session.
func FuzzSessionCookie(f *testing.F) {
	const name = "__Host-dropgate-session"
	// All fuzz workers must agree on the id.
	id := strings.Repeat("An-id_of", 5) + "A-k"
	key, ok := session.KeyOf(id)
	if !ok {
		f.Fatal("invalid session id")
	}
	start := func(tb testing.TB, w *oidcHarness) {
		tb.Helper()
		w.store.Store = session.NewMemory(session.Limits{Idle: idleTime, Lifetime: lifetime, Now: func() time.Time { return doomsday }})
		s := session.Stored{User: clienttoken.User{ID: "alice"}, Subject: "alice"}
		if _, err := w.store.Start(context.Background(), key, s, session.SignIn{Once: "once"}); err != nil {
			tb.Fatal(err)
		}
	}
	good := name + "=" + id
	for _, cookies := range []string{
		"", good, good + "; " + good, "a=b; " + good + "; c=d", `a="; ` + good, name + `="` + id + `"`, good + "\n" + good, good + "\na=b", good + "=", good + ",", good + " ",
		name + "=", name, name + "=" + id[1:], good + "A", name + "=" + id[:len(id)-1] + "l", name + "=" + strings.ToLower(id), name + "=" + strings.Repeat("A", 43), " " + name + " =" + id,
		"dropgate-session=" + id, strings.ToUpper(name) + "=" + id, "__Host-dropgate-session-x=" + id, good + ";" + name + "=x", name + "=x; " + good, ";;" + good + ";;", "$Version=1; " + good,
	} {
		f.Add(cookies)
	}
	w := newOIDCHarness()
	chain := auth.NewChain(prometheus.NewRegistry(), w.oidc)
	f.Fuzz(func(t *testing.T, cookies string) {
		start(t, w)
		r := request(t.Context(), http.Header{"Cookie": strings.Split(cookies, "\n")})
		found, err := chain.Authenticate(r, nil)
		given := pairs(r.Header["Cookie"], name)
		want := byCookies(given, id)
		if got := verdict(found, err); got != want {
			t.Errorf("%s by %q, want %s", got, given, want)
		}
		signedIn := want == aliceCookie
		checkNoSecret(t, err, id)
		logout, err := w.oidc.Logout(r)
		if ended := logout.User == "alice"; err != nil || ended && !strings.Contains(cookies, id) || signedIn && !ended {
			t.Errorf("the logout of %q (%v)", logout.User, err)
		}
		_, err = w.store.Find(t.Context(), key, session.Peek, nil)
		if kept := err == nil; kept == (logout.User != "") {
			t.Errorf("after the logout of %q the session is kept: %v", logout.User, kept)
		}
	})
}

// byCookies returns the expected verdict on session cookies.
func byCookies(given []string, id string) string {
	switch {
	case len(given) == 0:
		return ignored
	case slices.Equal(given, []string{id}):
		return aliceCookie
	}
	return refused
}

// pairs returns the values of cookies with this name, without quotes. It drops
// invalid values (RFC 6265, 4.1.1). Browsers also accept spaces, commas and
// non-ASCII, and net/http the first two.
func pairs(headers []string, name string) []string {
	var found []string
	for _, header := range headers {
		for part := range strings.SplitSeq(header, ";") {
			of, value, _ := strings.Cut(part, "=")
			value = strings.Trim(value, " \t")
			if inner, quoted := strings.CutPrefix(value, `"`); quoted && strings.HasSuffix(inner, `"`) {
				value = strings.TrimSuffix(inner, `"`)
			}
			if strings.Trim(of, " \t") == name && !strings.ContainsFunc(value, inNoCookie) {
				found = append(found, value)
			}
		}
	}
	return found
}

func inNoCookie(r rune) bool { return r < ' ' || r > '~' || strings.ContainsRune(`";\`, r) }
