package handler_test

import (
	"net/netip"
	"strings"
	"testing"
)

func trustedProxies(cidrs ...string) func(*setup) {
	return func(s *setup) {
		for _, cidr := range cidrs {
			s.handler.TrustedProxies = append(s.handler.TrustedProxies, netip.MustParsePrefix(cidr))
		}
	}
}

// The harness checks the request id in every line.

func TestUntrustedRequestIDIsIgnored(t *testing.T) {
	for name, w := range map[string]*world{
		"nobody is trusted":        newWorld(t),
		"somebody else is trusted": newWorld(t, trustedProxies("10.0.0.0/8", "127.0.0.2/32", "::1/128")),
	} {
		t.Run(name, func(t *testing.T) {
			seen := map[string]bool{}
			for range 10 {
				a := w.vend(t, alice, `{"action":"customer.read"}`, header("X-Request-Id", "a-strangers-id"))
				id := a.header.Get("X-Request-Id")
				if id == "a-strangers-id" || len(id) < 20 || seen[id] {
					t.Errorf("the id is %q", id)
				}
				seen[id] = true
			}
			if strings.Contains(w.logs.text(), "a-strangers-id") {
				t.Error("a stranger's id is in the log")
			}
		})
	}
}

func TestTrustedProxysRequestIDIsLogged(t *testing.T) {
	w := newWorld(t, trustedProxies("10.0.0.0/8", "127.0.0.1/32"))
	long := strings.Repeat("x", 128)
	for _, id := range []string{"1", "0123-4567_89.AZ:az/+=", long, "1-67891233-abcdef012345678912345678"} {
		given := header("X-Request-Id", id)
		a := w.vend(t, alice, `{"action":"customer.read"}`, given)
		a.audit.has(t, line{"proxy_request_id": id})
		for _, a := range []answer{a, w.get(t, nobody, "/session", given), w.get(t, nobody, "/nowhere", given)} {
			if got := a.header.Get("X-Request-Id"); got == id || len(got) < 20 {
				t.Errorf("the id of the answer is %q for %q", got, id)
			}
			a.access.has(t, accessLine{ProxyRequestID: id})
		}
	}
	for _, id := range []string{long + "x", "", "a b", "a\tb", "é", `"`, "<script>", "a,b", "a;b", "{}", "a\\b", "a%0ab", "a@b", "$(x)"} {
		a := w.vend(t, alice, `{"action":"customer.read"}`, header("X-Request-Id", id))
		a.access.has(t, accessLine{ProxyRequestID: empty})
		a.audit.has(t, line{"proxy_request_id": ""})
	}
}

func TestForwardedAddressNeedsATrustedProxy(t *testing.T) {
	trusting := newWorld(t, trustedProxies("127.0.0.1/32", "10.0.0.0/8"))
	alone := newWorld(t)
	others := newWorld(t, trustedProxies("10.0.0.0/8"))
	for _, row := range []struct {
		name string
		w    *world
		xff  []string
		want string
	}{
		{"nobody is trusted", alone, []string{"203.0.113.7"}, "127.0.0.1"},
		{"somebody else is", others, []string{"203.0.113.7"}, "127.0.0.1"},
		{"somebody else is, and claimed", others, []string{"203.0.113.7, 10.0.0.1"}, "127.0.0.1"},
		{"no header", trusting, nil, "127.0.0.1"},
		{"one address", trusting, []string{"203.0.113.7"}, "203.0.113.7"},
		{"the caller's own invention before it", trusting, []string{"198.51.100.1, 203.0.113.7"}, "203.0.113.7"},
		{"two proxies", trusting, []string{"203.0.113.7, 10.1.2.3"}, "203.0.113.7"},
		{"two headers", trusting, []string{"198.51.100.1", "203.0.113.7"}, "203.0.113.7"},
		{"version 6", trusting, []string{"2001:db8::1"}, "2001:db8::1"},
		{"mapped", trusting, []string{"::ffff:203.0.113.7"}, "203.0.113.7"},
		{"garbage", trusting, []string{"<script>"}, "127.0.0.1"},
		{"garbage last", trusting, []string{"203.0.113.7, unknown"}, "127.0.0.1"},
		{"only proxies", trusting, []string{"10.0.0.1, 10.0.0.2"}, "10.0.0.1"},
		{"a port", trusting, []string{"203.0.113.7:4711"}, "203.0.113.7"},
		{"a port behind a proxy with one", trusting, []string{"203.0.113.7:4711, 10.1.2.3:80"}, "203.0.113.7"},
		{"brackets", trusting, []string{"[2001:db8::1]"}, "2001:db8::1"},
		{"brackets and a port", trusting, []string{"[2001:db8::1]:443"}, "2001:db8::1"},
		{"brackets around version 4", trusting, []string{"[203.0.113.7]:443"}, "203.0.113.7"},
		{"quotes", trusting, []string{`"203.0.113.7"`}, "203.0.113.7"},
		{"quotes, brackets and a port", trusting, []string{`"[2001:db8::1]:443", "10.0.0.1:80"`}, "2001:db8::1"},
		{"a zone", trusting, []string{"fe80::1%eth0"}, "fe80::1"},
		{"a zone in brackets", trusting, []string{"[fe80::1%25eth0]:443"}, "fe80::1"},
		{"mapped with a port", trusting, []string{"::ffff:203.0.113.7:4711"}, "203.0.113.7"},
		{"a proxy that is mapped, with a port", trusting, []string{"203.0.113.7, [::ffff:10.0.0.1]:80"}, "203.0.113.7"},
		{"spaces and empty elements", trusting, []string{" ,, 203.0.113.7\t,", "", " , 10.0.0.1 ,"}, "203.0.113.7"},
		{"several headers", trusting, []string{"198.51.100.1", "203.0.113.7:1, 10.0.0.2", "10.0.0.3"}, "203.0.113.7"},
		{"unknown behind a proxy", trusting, []string{"203.0.113.7, unknown, 10.1.2.3"}, "10.1.2.3"},
		{"unknown before the caller", trusting, []string{"unknown, 203.0.113.7"}, "203.0.113.7"},
		{"an identifier", trusting, []string{"_hidden, 10.1.2.3"}, "10.1.2.3"},
		{"a name", trusting, []string{"app.example.com"}, "127.0.0.1"},
		{"no address", trusting, []string{"0.0.0.0, 10.1.2.3"}, "10.1.2.3"},
		{"a port that is none", trusting, []string{"203.0.113.7:http"}, "127.0.0.1"},
		{"a port too high", trusting, []string{"203.0.113.7:65536"}, "127.0.0.1"},
		{"an open bracket", trusting, []string{"[2001:db8::1"}, "127.0.0.1"},
		{"an open quote", trusting, []string{`"203.0.113.7`}, "127.0.0.1"},
		{"a zone behind version 4", trusting, []string{"203.0.113.7%eth0"}, "127.0.0.1"},
		{"more proxies than there are", trusting, []string{"203.0.113.7" + strings.Repeat(",10.0.0.1", 100)}, "10.0.0.1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := row.w.vend(t, alice, `{"action":"customer.read"}`, header("X-Forwarded-For", row.xff...),
				header("X-Real-Ip", "198.51.100.9"), header("True-Client-Ip", "198.51.100.9"), header("Forwarded", "for=198.51.100.9"))
			a.access.has(t, accessLine{ClientIP: row.want})
		})
	}
}

func TestUnreadableHopIsCountedAndLoggedOnce(t *testing.T) {
	const counter = "dropgate_forwarded_unreadable_total"
	for name, header := range map[string]with{
		"unknown":           header("X-Forwarded-For", "203.0.113.7, unknown"),
		"an identifier":     header("X-Forwarded-For", "_hidden"),
		"a name":            header("X-Forwarded-For", "localhost"),
		"too many hops":     header("X-Forwarded-For", strings.Repeat("127.0.0.1,", 65)),
		"a list of nothing": header("X-Forwarded-For", " , "),
		"Forwarded alone":   header("Forwarded", "for=203.0.113.7"),
		"control of a log":  header("X-Forwarded-For", "\u202e\u2028"),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, trustedProxies("127.0.0.1/32"))
			for range 3 {
				w.vend(t, alice, `{"action":"customer.read"}`, header).access.has(t, accessLine{ClientIP: "127.0.0.1"})
			}
			if got := strings.Count(w.logs.text(), counter); got != 1 {
				t.Errorf("%d lines of the log name %s", got, counter)
			}
			if !strings.Contains(w.metricsText(), counter+" 3\n") {
				t.Errorf("%s is not 3", counter)
			}
		})
	}
	for name, w := range map[string]*world{"a stranger": newWorld(t), "a readable one": newWorld(t, trustedProxies("127.0.0.1/32"))} {
		w.vend(t, alice, `{"action":"customer.read"}`, header("X-Forwarded-For", "unknown, 203.0.113.7"), header("Forwarded", "for=unknown"))
		if strings.Contains(w.logs.text(), counter) || !strings.Contains(w.metricsText(), counter+" 0\n") {
			t.Errorf("%s is counted as unreadable", name)
		}
	}
}
