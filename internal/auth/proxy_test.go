package auth_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/auth"
	"dropgate/internal/clienttoken"
)

const (
	proxySecret = "open-sesame-of-the-proxy"
	proxyPeer   = "10.20.30.64:40000" // the first address of a trusted network
	stranger    = "192.0.2.1:1234"    // the default address of httptest
	passedOn    = "accepted second"
)

func proxyConfig() auth.ProxyConfig {
	return auth.ProxyConfig{
		Header: "X-Forwarded-User",
		Secret: clienttoken.NewSecret(proxySecret),
		Trusted: []netip.Prefix{
			netip.MustParsePrefix("10.20.30.64/26"),
			netip.MustParsePrefix("2001:db8::10/128"),
			netip.MustParsePrefix("fe80::/64"),
		},
	}
}

// proxied returns the proxy's headers, with edits.
func proxied(edits http.Header) http.Header {
	h := http.Header{"X-Forwarded-User": {"alice"}, "X-Proxy-Secret": {proxySecret}}
	for name, values := range edits {
		if h[name] = values; values == nil {
			delete(h, name)
		}
	}
	return h
}

// proxyAttempt is one request from a peer, with its expected verdict.
type proxyAttempt struct {
	attempt
	peer string
}

// tryProxy makes the attempts in a chain with a second mode. Only passed-on
// requests may reach it.
func tryProxy(t *testing.T, config auth.ProxyConfig, attempts []proxyAttempt) {
	t.Helper()
	for _, a := range attempts {
		t.Run(a.name, func(t *testing.T) {
			second := &fakeMode{name: "second"}
			second.user, _ = strings.CutPrefix(strings.TrimSuffix(a.want, " by cookie"), "accepted ") // a different user would be refused
			chain := auth.NewChain(prometheus.NewRegistry(), auth.NewProxy(config), second)
			r := request(t.Context(), a.header)
			r.RemoteAddr = a.peer
			session, err := chain.Authenticate(r, nil)
			if got := verdict(session, err); got != a.want {
				t.Errorf("%s (%v), want %s", got, err, a.want)
			}
			if passed := err == nil && session.Mode == "second"; passed != (a.want == passedOn) || a.want == refused && second.asked > 0 {
				t.Errorf("passed on: %v", passed)
			}
			checkRejection(t, err, a.header)
			checkNoSecret(t, err, append(a.header["X-Proxy-Secret"], proxySecret)...)
		})
	}
}

// fromPeers makes the same attempt from each peer.
func fromPeers(want string, peers ...string) []proxyAttempt {
	attempts := make([]proxyAttempt, 0, len(peers))
	for _, peer := range peers {
		attempts = append(attempts, proxyAttempt{attempt{fmt.Sprintf("%q", peer), proxied(nil), want}, peer})
	}
	return attempts
}

func TestProxyNamesUserFromTrustedAddress(t *testing.T) {
	tryProxy(t, proxyConfig(), fromPeers(aliceCookie,
		"10.20.30.64:40000", "10.20.30.100:1", "10.20.30.127:65535",
		"[::ffff:10.20.30.64]:40000", "[::ffff:10.20.30.127]:40000", "[::ffff:a14:1e40]:40000",
		"[2001:db8::10]:40000", "[fe80::1]:40000", "[fe80::1%eth0]:40000", "[fe80::ffff:ffff:ffff:ffff%1]:40000",
	))
}

func TestProxyRefusesUntrustedAddressDespiteSecret(t *testing.T) {
	tryProxy(t, proxyConfig(), fromPeers(refused,
		stranger, "10.20.30.63:40000", "10.20.30.128:40000", "10.20.31.64:40000", "127.0.0.1:40000",
		"[::ffff:10.20.30.63]:40000", "[::ffff:10.20.30.128]:40000", "[::10.20.30.64]:40000", "[64:ff9b::10.20.30.64]:40000",
		"[2001:db8::f]:40000", "[2001:db8::11]:40000", "[fe80:0:0:1::1%eth0]:40000", "[::1]:40000",
	))
}

func TestProxyDistrustsPeerWithoutAddress(t *testing.T) {
	attempts := fromPeers(refused,
		"", "@", "/run/dropgate.sock", "pipe", ":40000", "10.20.30.64", "10.20.30.64:", "10.20.30.64:port", "10.20.30.64:65536",
		"10.20.30.064:40000", " 10.20.30.64:40000", "10.20.30.64:40000 ", "10.20.30.64, 192.0.2.1:40000", "2001:db8::10:40000",
		"[10.20.30.64]:40000", "[2001:db8::10]", "proxy.internal:40000",
	)
	everybody := proxyConfig()
	everybody.Trusted = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	tryProxy(t, proxyConfig(), attempts)
	tryProxy(t, everybody, attempts)
}

// An ignored attack would not show in the log.
func TestForgedProxyRequestNeverReachesNextMode(t *testing.T) {
	var attempts []proxyAttempt
	for name, header := range map[string]http.Header{
		"right secret":                  proxied(nil),
		"wrong secret":                  proxied(http.Header{"X-Proxy-Secret": {"a-guess-of-the-secret"}}),
		"empty secret":                  proxied(http.Header{"X-Proxy-Secret": {""}}),
		"user only":                     proxied(http.Header{"X-Proxy-Secret": nil}),
		"empty user only":               {"X-Forwarded-User": {""}},
		"right secret only":             proxied(http.Header{"X-Forwarded-User": nil}),
		"wrong secret only":             {"X-Proxy-Secret": {"a-guess-of-the-secret"}},
		"empty secret only":             {"X-Proxy-Secret": {""}},
		"beside a good bearer token":    proxied(bearer(goodToken())),
		"user only beside a good token": proxied(http.Header{"X-Proxy-Secret": nil, "Authorization": {"Bearer " + goodToken()}}),
	} {
		attempts = append(attempts, proxyAttempt{attempt{name, header, refused}, stranger})
	}
	tryProxy(t, proxyConfig(), attempts)
}

func TestForwardingHeadersDoNotMakePeersTrusted(t *testing.T) {
	var attempts []proxyAttempt
	for name, value := range map[string]string{
		"X-Forwarded-For": "10.20.30.64", "X-Real-Ip": "10.20.30.64", "Forwarded": "for=10.20.30.64", "True-Client-Ip": "10.20.30.64",
		"X-Forwarded-Host": "10.20.30.64", "Via": "1.1 10.20.30.64", "Cf-Connecting-Ip": "10.20.30.64", "X-Client-Ip": "10.20.30.64",
	} {
		header := proxied(http.Header{name: {value}})
		attempts = append(
			attempts,
			proxyAttempt{attempt{name, header, refused}, stranger},
			proxyAttempt{attempt{name + " to nobody", header, refused}, "@"},
		)
	}
	// Nor does such a header remove trust.
	attempts = append(attempts, proxyAttempt{attempt{"the user's address", proxied(http.Header{"X-Forwarded-For": {"192.0.2.1"}}), aliceCookie}, proxyPeer})
	tryProxy(t, proxyConfig(), attempts)
}

func TestProxyRequestWithoutUserReachesNextMode(t *testing.T) {
	anonymous := proxied(http.Header{"X-Forwarded-User": nil})
	tryProxy(t, proxyConfig(), []proxyAttempt{
		{attempt{"no headers", nil, passedOn}, proxyPeer},
		{attempt{"no headers from anybody", nil, passedOn}, stranger},
		{attempt{"no headers from nowhere", nil, passedOn}, "@"},
		{attempt{"other credentials", bearer(goodToken()), passedOn}, stranger},
		{attempt{"the proxy lets an anonymous request pass", anonymous, passedOn}, proxyPeer},
	})
}

func TestProxySecretMustMatchExactlyOnce(t *testing.T) {
	var attempts []proxyAttempt
	for name, secrets := range map[string][]string{
		"missing":         nil,
		"empty":           {""},
		"a prefix":        {proxySecret[:len(proxySecret)-1]},
		"a suffix":        {proxySecret[1:]},
		"a letter":        {proxySecret[:1]},
		"more after":      {proxySecret + "x"},
		"more before":     {"x" + proxySecret},
		"a NUL after":     {proxySecret + "\x00"},
		"a space after":   {proxySecret + " "},
		"a space before":  {" " + proxySecret},
		"upper case":      {strings.ToUpper(proxySecret)},
		"quoted":          {`"` + proxySecret + `"`},
		"a scheme":        {"Bearer " + proxySecret},
		"doubled":         {proxySecret + proxySecret},
		"a list":          {proxySecret + "," + proxySecret},
		"twice":           {proxySecret, proxySecret},
		"right and wrong": {proxySecret, "a-guess-of-the-secret"},
		"wrong and right": {"a-guess-of-the-secret", proxySecret},
		"right and empty": {proxySecret, ""},
		"1 MiB":           {strings.Repeat("a", 1<<20)},
	} {
		attempts = append(attempts, proxyAttempt{attempt{name, proxied(http.Header{"X-Proxy-Secret": secrets}), refused}, proxyPeer})
		if secrets != nil {
			attempts = append(attempts, proxyAttempt{attempt{name + " without a user", http.Header{"X-Proxy-Secret": secrets}, refused}, proxyPeer})
		}
	}
	tryProxy(t, proxyConfig(), attempts)
}

func TestProxyUserIDIsPrintableAndBounded(t *testing.T) {
	longest := strings.Repeat("é", 255)
	for name, c := range map[string]struct {
		users []string
		want  string
	}{
		"an address":           {[]string{"alice@example.com"}, "accepted alice@example.com by cookie"},
		"255 characters":       {[]string{longest}, "accepted " + longest + " by cookie"},
		"256 characters":       {[]string{longest + "é"}, refused},
		"empty":                {[]string{""}, refused},
		"a line break":         {[]string{"alice\nbob"}, refused},
		"a carriage return":    {[]string{"alice\r"}, refused},
		"a tab":                {[]string{"alice\tbob"}, refused},
		"NUL":                  {[]string{"alice\x00"}, refused},
		"DEL":                  {[]string{"alice\x7f"}, refused},
		"a C1 control":         {[]string{"alice\u0085"}, refused},
		"a direction override": {[]string{"alice\u202e"}, refused},
		"no UTF-8":             {[]string{"alice\xff"}, refused},
		"twice":                {[]string{"alice", "bob"}, refused},
		"the same twice":       {[]string{"alice", "alice"}, refused},
		"empty and alice":      {[]string{"", "alice"}, refused},
	} {
		tryProxy(t, proxyConfig(), []proxyAttempt{
			{attempt{name, proxied(http.Header{"X-Forwarded-User": c.users}), c.want}, proxyPeer},
		})
	}
}

// Servers canonicalize header names, so the configured name must match.
func TestProxyHeaderNameIsCaseInsensitive(t *testing.T) {
	for _, configured := range []string{"X-Forwarded-User", "x-forwarded-user", "X-FORWARDED-USER"} {
		for _, sent := range []string{"X-Forwarded-User", "x-forwarded-user", "X-FORWARDED-USER"} {
			header := http.Header{}
			header.Set(sent, "alice")
			header.Set("x-PROXY-secret", proxySecret)
			config := proxyConfig()
			config.Header = configured
			tryProxy(t, config, []proxyAttempt{
				{attempt{configured + " as " + sent, header, aliceCookie}, proxyPeer},
				{attempt{configured + " as " + sent + " from a stranger", header, refused}, stranger},
			})
		}
	}
}

func TestProxyReadsOnlyTheConfiguredHeader(t *testing.T) {
	var attempts []proxyAttempt
	for _, name := range []string{"x_forwarded_user", "X-Forwarded_User", "X-Forwarded-Email", "X-Auth-Request-User", "Remote-User", "X-Forwarded-Users"} {
		header := http.Header{}
		header.Set(name, "alice")
		attempts = append(attempts, proxyAttempt{attempt{name, header, passedOn}, stranger})
		header = header.Clone()
		header.Set("X-Proxy-Secret", proxySecret)
		attempts = append(attempts, proxyAttempt{attempt{name + " with the secret", header, passedOn}, proxyPeer})
	}
	// A second header beside the right one does not count either.
	attempts = append(attempts, proxyAttempt{attempt{"both", proxied(http.Header{"X_forwarded_user": {"bob"}}), aliceCookie}, proxyPeer})
	config := proxyConfig()
	config.Header = "X-Auth-Request-User"
	tryProxy(t, proxyConfig(), attempts)
	tryProxy(t, config, []proxyAttempt{
		{attempt{"the configured one", http.Header{"X-Auth-Request-User": {"alice"}, "X-Proxy-Secret": {proxySecret}}, aliceCookie}, proxyPeer},
		{attempt{"the usual one", proxied(nil), passedOn}, proxyPeer},
	})
}

// The shared attempts come from one peer, trusted here.
func TestProxyPassesSharedAttempts(t *testing.T) {
	runAttempts(t, func(*testing.T) auth.Mode {
		config := proxyConfig()
		config.Trusted = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		return auth.NewProxy(config)
	}, []attempt{
		{"the proxy", proxied(nil), aliceCookie},
		{"the proxy with a bad token of another mode", proxied(bearer("garbage")), aliceCookie},
		{"no secret", proxied(http.Header{"X-Proxy-Secret": nil}), refused},
		{"wrong secret", proxied(http.Header{"X-Proxy-Secret": {"a-guess-of-the-secret"}}), refused},
		{"two users", proxied(http.Header{"X-Forwarded-User": {"alice", "bob"}}), refused},
	})
}

func TestProxySessionHoldsOnlyTheUser(t *testing.T) {
	r := request(t.Context(), proxied(http.Header{"X-Forwarded-Email": {"alice@example.com"}, "X-Forwarded-Groups": {"admin"}}))
	r.RemoteAddr = proxyPeer
	got, err := auth.NewProxy(proxyConfig()).Authenticate(r, nil)
	want := auth.Session{
		User:     clienttoken.User{ID: "alice", Claims: map[string]any{"sub": "alice"}},
		Mode:     "proxy",
		ByCookie: true,
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v (%v), want %+v", got, err, want)
	}
}

func TestProxyRejectionsHoldNoSecret(t *testing.T) {
	for name, c := range map[string]struct {
		header http.Header
		peer   string
	}{
		"untrusted":    {proxied(nil), stranger},
		"wrong secret": {proxied(http.Header{"X-Proxy-Secret": {proxySecret + "!"}}), proxyPeer},
		"bad user":     {proxied(http.Header{"X-Forwarded-User": {proxySecret + "\n"}}), proxyPeer},
		"two users":    {proxied(http.Header{"X-Forwarded-User": {proxySecret, "bob"}}), proxyPeer},
	} {
		t.Run(name, func(t *testing.T) {
			r := request(t.Context(), c.header)
			r.RemoteAddr = c.peer
			_, err := auth.NewProxy(proxyConfig()).Authenticate(r, nil)
			rejection, ok := errors.AsType[*auth.Rejection](err)
			if !ok || rejection.Mode != "proxy" || rejection.Reason == "" {
				t.Fatalf("%#v, want a rejection of the mode with a reason", err)
			}
			if said := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(said, proxySecret) {
				t.Errorf("the secret is in %s", said)
			}
		})
	}
}

func TestNewProxyPanicsWithoutRequiredSettings(t *testing.T) {
	for name, empty := range map[string]func(*auth.ProxyConfig){
		"header":          func(c *auth.ProxyConfig) { c.Header = "" },
		"secret":          func(c *auth.ProxyConfig) { c.Secret = clienttoken.Secret{} },
		"secret of \"\"":  func(c *auth.ProxyConfig) { c.Secret = clienttoken.NewSecret("") },
		"trusted":         func(c *auth.ProxyConfig) { c.Trusted = nil },
		"trusted of none": func(c *auth.ProxyConfig) { c.Trusted = []netip.Prefix{} },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			config := proxyConfig()
			empty(&config)
			auth.NewProxy(config)
		})
	}
}
