package handler_test

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// strangersHeaders holds the headers read by the middleware.
type strangersHeaders struct {
	peer          string
	forwarded     []string
	id            string
	origin, site  string
	host          string
	allowedOrigin string
}

// FuzzHeaders sends any headers from any peer, with alice's cookie, for bob's
// Customer. The client address comes from trusted proxies only, and the request
// id is well-formed. Foreign pages are refused, and no header breaks a log line.
// The response is one of two refusals.
func FuzzHeaders(f *testing.F) {
	const allowed, host = "https://shop.example.com", "app.example.com"
	networks := []string{"10.0.0.0/8", "2001:db8:1::/48"}
	w := newWorld(f, trustedProxies(networks...), allowedOrigins(allowed))
	cookie := cookieName + "=" + w.token(alice)
	peers := []string{
		"10.1.2.3:4711", "203.0.113.9:1", "[2001:db8:1::5]:99", "[2001:db8:2::5]:99", "[::ffff:10.0.0.1]:5", "[fe80::1%eth0]:1",
	}
	for i, seed := range [][4]string{
		{"", "", "", ""},
		{"203.0.113.7", "the-proxys-id", "https://" + host, "same-origin"},
		{"198.51.100.1, 203.0.113.7", "a b", allowed, "cross-site"},
		{"198.51.100.1\n203.0.113.7 , 10.0.0.1", "\"}\n{\"", "https://evil.example", "cross-site"},
		{"unknown, 203.0.113.7", "<script>", "null", "same-site"},
		{"203.0.113.7, unknown", strings.Repeat("x", 129), "https://evil.example", ""},
		{"10.0.0.1,10.0.0.2", strings.Repeat("x", 128), "http://" + host, "none"},
		{"::ffff:203.0.113.7", "\xff", "https://" + host + ".evil.example", ""},
		{"::ffff:10.0.0.7", "\u2028", "https://SHOP.example.com", "Same-Origin"},
		{"fe80::1%10.0.0.1,,", "é", "https://" + host + "@evil.example", ""},
		{"2001:db8:1::9, 0:0:0:0:0:ffff:0a00:0001", "a/b+c=", " ", ""},
		{"203.0.113.7:80", ".", "*", "*"},
		{"[2001:db8::1]", "-", "https://" + host + ":8443", ""},
		{"010.0.0.1", "\x00", "\r\n", "none"},
		{`"[2001:db8:2::9%eth0]:443", "10.0.0.9:80"`, "x", "null", "cross-site"},
		{"203.0.113.7, _hidden", "x", "capacitor://localhost", "cross-site"},
		{"::ffff:203.0.113.7:80, [::ffff:10.0.0.1]:1", "x", "", ""},
		{"0.0.0.0, [10.0.0.1]", "x", "", ""},
		{"203.0.113.7:65536", "x", "", ""},
		{strings.Repeat("10.0.0.1,", 70), "x", "", ""},
		{" \"203.0.113.7\" ,\t, ", "x", "", ""},
		{"203.0.113.07", "a\x7fb", "https://shop.example.com.evil.example", ""},
	} {
		for n := range peers {
			f.Add(uint8(i+n), seed[0], seed[1], seed[2], seed[3])
		}
	}
	f.Fuzz(func(t *testing.T, peer uint8, forwarded, id, origin, site string) {
		defer w.logs.forget()
		given := strangersHeaders{peers[int(peer)%len(peers)], strings.Split(forwarded, "\n"), id, origin, site, host, allowed}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+host+"/client-tokens",
			strings.NewReader(`{"action":"customer.read","_links":{"customer":{"href":"`+w.root+`/customers/`+bobsID+`"}}}`))
		r.RemoteAddr = given.peer
		r.Header = http.Header{
			"Content-Type": {"application/json"}, "Cookie": {cookie}, "X-Forwarded-For": given.forwarded,
			"X-Request-Id": {id}, "Origin": {origin}, "Sec-Fetch-Site": {site},
		}
		got := httptest.NewRecorder()
		mark := w.logs.mark()
		w.handler.ServeHTTP(got, r)
		a := answer{status: got.Code, header: got.Result().Header, body: got.Body.String()}
		a.logged(t, w, r, mark)
		a.hasSecurityHeaders(t)
		a.hasTheOneShape(t, r)
		w.checkLines(t)
		given.checkAddress(t, a, networks)
		given.checkRequestID(t, a, networks)
		given.checkOrigin(t, a)
	})
}

// checkLines fails t unless each line of the log is one JSON object.
func (w *world) checkLines(t *testing.T) {
	t.Helper()
	w.logs.mu.Lock()
	defer w.logs.mu.Unlock()
	for _, l := range w.logs.lines {
		if text, ended := strings.CutSuffix(l, "\n"); !ended || strings.ContainsAny(text, "\r\n\u2028\u2029") || !json.Valid([]byte(text)) {
			t.Errorf("the log has %q", l)
		}
	}
}

// within reports whether a network holds the address, by another reader of
// addresses than the service's.
func within(networks []string, ip net.IP) bool {
	return slices.ContainsFunc(networks, func(cidr string) bool {
		_, network, err := net.ParseCIDR(cidr)
		return err == nil && network.Contains(ip)
	})
}

// peerIP is the peer's address, without a zone.
func (h strangersHeaders) peerIP() net.IP {
	host, _, _ := net.SplitHostPort(h.peer)
	host, _, _ = strings.Cut(host, "%")
	return net.ParseIP(host)
}

// hopsAddress is the address of a hop by a reader of its own, or nil.
func hopsAddress(hop string) net.IP {
	const zone, port = `(?:%[^"]+)?`, `(?::0*([0-9]{1,5}))?`
	for _, form := range []string{
		`^([0-9.]+)` + port + `$`, `^([0-9A-Fa-f:]+:[0-9.]+)` + port + `$`, `^([0-9A-Fa-f:.]+)` + zone + `$`, `^\[([0-9A-Fa-f:.]+)` + zone + `\]` + port + `$`, `^\[([0-9.]+)\]` + port + `$`,
	} {
		found := regexp.MustCompile(form).FindStringSubmatch(hop)
		if found == nil {
			continue
		}
		if n, _ := strconv.Atoi(found[len(found)-1]); len(found) > 2 && n > 65535 {
			continue
		}
		if ip := net.ParseIP(found[1]); ip != nil && !ip.IsUnspecified() {
			return ip
		}
	}
	return nil
}

// caller is the address of the last hop outside of the trusted proxies. Behind an
// unreadable hop, it is the trusted hop before.
func (h strangersHeaders) caller(networks []string) net.IP {
	caller := h.peerIP()
	if !within(networks, caller) {
		return caller
	}
	hops := 0
	for _, hop := range slices.Backward(strings.Split(strings.Join(h.forwarded, ","), ",")) {
		text := strings.Trim(hop, " \t")
		if text == "" {
			continue // an empty element of a list says nothing (RFC 9110, 5.6.1)
		}
		if len(text) > 1 && strings.HasPrefix(text, `"`) && strings.HasSuffix(text, `"`) {
			text = strings.Trim(text[1:len(text)-1], " \t")
		}
		ip := hopsAddress(text)
		if hops++; ip == nil || hops > 64 {
			return caller
		}
		if caller = ip; !within(networks, ip) {
			return ip
		}
	}
	return caller
}

func (h strangersHeaders) checkAddress(t *testing.T, a answer, networks []string) {
	t.Helper()
	logged, _, _ := strings.Cut(a.access.ClientIP, "%")
	if want := h.caller(networks); !net.ParseIP(logged).Equal(want) {
		t.Errorf("the caller is %q for X-Forwarded-For %q from %s, want %s", logged, h.forwarded, h.peer, want)
	}
}

// checkRequestID: the id is always our own. The log also has a trusted proxy's
// well-formed id, and no other.
func (h strangersHeaders) checkRequestID(t *testing.T, a answer, networks []string) {
	t.Helper()
	got := a.header.Get("X-Request-Id")
	kept := within(networks, h.peerIP()) && regexp.MustCompile(`\A[A-Za-z0-9_.:/+=-]{1,128}\z`).MatchString(h.id)
	want := ""
	if kept {
		want = h.id
	}
	if !regexp.MustCompile(`\A[A-Z2-7]{26}\z`).MatchString(got) || a.access.ProxyRequestID != want {
		t.Errorf("the request id is %q, the proxy's %q for %q from %s", got, a.access.ProxyRequestID, h.id, h.peer)
	}
}

// checkOrigin fails t if a foreign page can use alice's cookie, or read the
// response.
func (h strangersHeaders) checkOrigin(t *testing.T, a answer) {
	t.Helper()
	allowed := h.origin == h.allowedOrigin
	own := h.site == "" && strings.Contains(h.origin, "//"+h.host)
	surely := allowed || h.site == "same-origin" || h.site == "none" || h.site == "" && h.origin == "https://"+h.host
	switch code := a.problem.Code; {
	case code == "CustomerMismatch" && (surely || own):
	case code == "CrossOriginRequest" && !surely:
	default:
		t.Errorf("%d %s for Origin %q and Sec-Fetch-Site %q", a.status, code, h.origin, h.site)
	}
	reader := a.header.Get("Access-Control-Allow-Origin")
	if (reader != "") != allowed || reader != "" && reader != h.allowedOrigin {
		t.Errorf("Access-Control-Allow-Origin %q for Origin %q", reader, h.origin)
	}
}
