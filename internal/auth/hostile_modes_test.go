package auth_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/auth"
)

// allModes holds every mode with a good credential for it.
type allModes struct {
	modes map[string]auth.Mode
	good  map[string]http.Header
	oidc  *oidcHarness
}

func newAllModes(t *testing.T) *allModes {
	t.Helper()
	bearers, w := newHarness(newIDP(published()...)), newOIDCHarness()
	b := w.browser(t)
	b.signIn()
	return &allModes{
		modes: map[string]auth.Mode{
			"bearer": bearers.bearer, "oidc": w.oidc, "forward": forwardMode(newApplication()), "proxy": auth.NewProxy(proxyConfig()),
		},
		good: map[string]http.Header{
			"bearer": bearer(goodToken()), "oidc": b.request(http.MethodGet, "/", false).Header, "forward": inSession(appSession), "proxy": proxied(nil),
		},
		oidc: w,
	}
}

// chains returns each mode alone, and all modes in several orders.
func (m *allModes) chains() map[string]*auth.Chain {
	chains := map[string]*auth.Chain{}
	for _, order := range []string{
		"bearer", "oidc", "forward", "proxy",
		"bearer oidc forward proxy", "proxy forward oidc bearer", "oidc proxy bearer forward", "forward bearer proxy oidc",
	} {
		var modes []auth.Mode
		for name := range strings.FieldsSeq(order) {
			modes = append(modes, m.modes[name])
		}
		chains[order] = auth.NewChain(prometheus.NewRegistry(), modes...)
	}
	return chains
}

// No mode, alone or in any order, may accept them, panic or report an outage.
func TestEveryModeRefusesHostileRequests(t *testing.T) {
	rsaKey()
	synctest.Test(t, func(t *testing.T) {
		m := newAllModes(t)
		b := m.oidc.browser(t)
		b.begin("")
		sid := strings.TrimPrefix(m.good["oidc"].Get("Cookie"), "__Host-dropgate-session=")
		requests := hostileRequests(sid, b.cookies[b.logins()[0]])
		for order, chain := range m.chains() {
			for _, h := range requests {
				if got := hostileVerdict(t, chain, h, sid); got != refused && got != ignored {
					t.Errorf("%s: %s: %s", order, h.name, got)
				}
			}
		}
		t.Logf("%d requests, %d chains", len(requests), len(m.chains()))
	})
}

func hostileVerdict(t *testing.T, chain *auth.Chain, h hostileRequest, sid string) (got string) {
	t.Helper()
	defer func() {
		if fault := recover(); fault != nil {
			got = fmt.Sprint("panic: ", fault)
		}
	}()
	r := request(t.Context(), h.header)
	r.RemoteAddr = h.peer
	s, err := chain.Authenticate(r, nil)
	checkNoSecret(t, err, sid, proxySecret)
	for _, values := range h.header {
		checkNoSecret(t, err, slices.DeleteFunc(slices.Clone(values), func(v string) bool { return len(v) > 16<<10 })...)
	}
	return verdict(s, err)
}

// Otherwise the hostile requests would prove nothing.
func TestEveryModeAcceptsItsGoodRequest(t *testing.T) {
	rsaKey()
	synctest.Test(t, func(t *testing.T) {
		m := newAllModes(t)
		// The application comes last, since it is asked about every cookie.
		all := auth.NewChain(prometheus.NewRegistry(), m.modes["bearer"], m.modes["proxy"], m.modes["oidc"], m.modes["forward"])
		for name, header := range m.good {
			want := aliceCookie
			if name == "bearer" {
				want = alice
			}
			for _, chain := range []*auth.Chain{m.chains()[name], all} {
				r := request(t.Context(), header)
				r.RemoteAddr = proxyPeer
				if got := verdict(chain.Authenticate(r, nil)); got != want {
					t.Errorf("%s: %s, want %s", name, got, want)
				}
			}
		}
	})
}

// A good credential does not outweigh a bad one of an earlier mode.
func TestBadCredentialStopsTheChain(t *testing.T) {
	rsaKey()
	synctest.Test(t, func(t *testing.T) {
		m := newAllModes(t)
		bad := map[string]http.Header{
			"bearer": bearer("garbage"), "oidc": inSession("__Host-dropgate-session=garbage"), "forward": inSession("sid=garbage"),
			"proxy": proxied(http.Header{"X-Proxy-Secret": {"a-guess-of-the-secret"}}),
		}
		for first := range bad {
			for second := range m.good {
				if first != second {
					m.checkBadThenGood(t, first, second, bad[first])
				}
			}
		}
	})
}

func (m *allModes) checkBadThenGood(t *testing.T, first, second string, bad http.Header) {
	t.Helper()
	header := m.good[second].Clone()
	for name, values := range bad {
		header[name] = append(slices.Clone(values), header[name]...)
	}
	r := request(t.Context(), header)
	r.RemoteAddr = proxyPeer
	chain := auth.NewChain(prometheus.NewRegistry(), m.modes[first], m.modes[second])
	if got := verdict(chain.Authenticate(r, nil)); got != refused {
		t.Errorf("bad %s before good %s: %s", first, second, got)
	}
}

// recordingApplication answers for the mode forward, and records the requests.
type recordingApplication struct{ sent []http.Header }

func (a *recordingApplication) RoundTrip(r *http.Request) (*http.Response, error) {
	a.sent = append(a.sent, r.Header.Clone())
	return newIDP().RoundTrip(r) // an unknown page
}

// The modes are in an allowed order: proxy first, forward last.
func TestForgedProxyHeadersAreRefusedBesideGoodCredentials(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		b.signIn()
		application := &recordingApplication{}
		forward := auth.NewForward(auth.ForwardConfig{URL: "https://app.internal/me", UserClaim: "sub", Transport: application})
		bearer := newHarness(newIDP(published()...)).bearer
		for _, modes := range [][]auth.Mode{
			{auth.NewProxy(proxyConfig()), w.oidc, bearer, forward},
			{auth.NewProxy(proxyConfig()), bearer, w.oidc, forward},
		} {
			chain := auth.NewChain(prometheus.NewRegistry(), modes...)
			for name, c := range map[string]struct {
				edit func(*http.Request)
				want string
			}{
				"a session":           {func(*http.Request) {}, aliceCookie},
				"and a forged header": {func(r *http.Request) { r.Header.Set("X-Forwarded-User", "bob") }, refused},
				"and a forged secret": {func(r *http.Request) { r.Header.Set("X-Proxy-Secret", proxySecret) }, refused},
				"and both": {func(r *http.Request) {
					r.Header.Set("X-Forwarded-User", "alice")
					r.Header.Set("X-Proxy-Secret", proxySecret)
				}, refused},
				"and a token, and a forged header": {func(r *http.Request) {
					r.Header.Set("Authorization", "Bearer "+goodToken())
					r.Header.Set("X-Forwarded-User", "bob")
				}, refused},
				"from the proxy, without a user": {func(r *http.Request) { r.RemoteAddr = proxyPeer; r.Header.Set("X-Proxy-Secret", proxySecret) }, aliceCookie},
			} {
				r := b.request(http.MethodPost, "/client-tokens", false)
				c.edit(r)
				if got := verdict(chain.Authenticate(r, nil)); got != c.want {
					t.Errorf("%s: %s, want %s", name, got, c.want)
				}
			}
		}
		if len(application.sent) != 0 {
			t.Errorf("the application was sent %q", application.sent)
		}
		b.checkUser(aliceCookie)
	})
}
