package app

import (
	"net"
	"net/http"
	"net/url"
	"testing"

	"dropgate/internal/clienttoken"
)

func TestNoProxyAndLoopbackDecideTheWay(t *testing.T) {
	c := Config{
		HTTPSProxy: clienttoken.NewSecret("user:pass@proxy.internal:3128"), HTTPProxy: clienttoken.NewSecret("http://plain.internal:3128"),
		NoProxy: []string{".svc", "app.internal", "10.0.0.0/8", "192.0.2.7:8443"},
	}
	f := faults{}
	f.parseEgress(&c)
	if len(f) > 0 {
		t.Fatal(f)
	}
	const proxy, plain, direct = "http://user:pass@proxy.internal:3128", "http://plain.internal:3128", ""
	for target, want := range map[string]string{
		"https://api.dwolla.com/token": proxy, "https://192.0.2.7": proxy, "https://internal": proxy, "https://notapp.internal": proxy,
		"http://idp.example.com": plain,
		"https://app.internal":   direct, "https://sub.app.internal:8443": direct, "https://APP.svc": direct, "https://10.1.2.3": direct, "https://192.0.2.7:8443": direct,
		"https://localhost": direct, "http://localhost:8080": direct, "https://127.0.0.1:1": direct, "https://127.9.9.9": direct, "https://[::1]": direct,
	} {
		r := &http.Request{}
		var err error
		if r.URL, err = url.Parse(target); err != nil {
			t.Fatal(err)
		}
		way, err := c.newTransport().Proxy(r)
		if err != nil {
			t.Fatal(err)
		}
		got := direct
		if way != nil {
			got = way.String()
		}
		if got != want {
			t.Errorf("%s goes by %q, want %q", target, got, want)
		}
	}
}

func TestReadinessNamesTheEgressProxy(t *testing.T) {
	refused := checkConnect(t.Context(), nil, nil, &http.Response{StatusCode: http.StatusProxyAuthRequired, Status: "407 a text of the proxy"})
	for want, err := range map[reason]error{
		proxyRefused:     &url.Error{Op: "Post", URL: "https://api.dwolla.com/token", Err: refused},
		proxyUnreachable: &url.Error{Op: "Get", URL: "https://idp", Err: &net.OpError{Op: proxyConnect, Err: &net.DNSError{IsNotFound: true}}},
	} {
		if got := reasonOf(err); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
	if text := refused.Error(); text != "proxyconnect tcp: the egress proxy answered 407" {
		t.Errorf("the error is %q", text)
	}
	if err := checkConnect(t.Context(), nil, nil, &http.Response{StatusCode: http.StatusOK}); err != nil {
		t.Errorf("an open connection: %v", err)
	}
}
