package auth_test

import (
	"net/http"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/auth"
	"dropgate/internal/clienttoken"
)

// For any headers, only one printable name with the right secret is accepted, and
// only from the proxy's address.
func FuzzProxy(f *testing.F) {
	for _, users := range []string{
		"alice", "", "alice\nbob", "alice" + "\n" + "alice", "\nalice", " alice", "alice\x00", "alice\u202e", "al\xffice", "\ufffd", strings.Repeat("é", 255), strings.Repeat("é", 256),
	} {
		for _, secrets := range []string{proxySecret, "", proxySecret + "\n" + proxySecret, proxySecret + " ", strings.ToUpper(proxySecret), proxySecret[1:], proxySecret + "\x00"} {
			f.Add(true, users, secrets)
		}
		f.Add(false, users, proxySecret)
	}
	chain := auth.NewChain(prometheus.NewRegistry(), auth.NewProxy(proxyConfig()))
	f.Fuzz(func(t *testing.T, fromProxy bool, users, secrets string) {
		r := request(t.Context(), http.Header{"X-Forwarded-User": strings.Split(users, "\n"), "X-Proxy-Secret": strings.Split(secrets, "\n")})
		if r.RemoteAddr = stranger; fromProxy {
			r.RemoteAddr = proxyPeer
		}
		hidden := func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }
		length := utf8.RuneCountInString(users)
		want := refused
		if fromProxy && secrets == proxySecret && length >= 1 && length <= 255 && !strings.ContainsFunc(users, hidden) && clienttoken.ValidUserID(users) {
			want = "accepted " + users + " by cookie"
		}
		session, err := chain.Authenticate(r, nil)
		if got := verdict(session, err); got != want {
			t.Errorf("%s (%v), want %s", got, err, want)
		}
		if err != nil {
			checkNoSecret(t, err, proxySecret)
		}
	})
}
