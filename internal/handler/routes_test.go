package handler_test

import (
	"net/http"
	"testing"

	"dropgate/api"
)

func TestUnknownRoutesAreNotFound(t *testing.T) {
	for _, base := range []string{"", "/dropgate", "/a/b"} {
		w := newWorld(t, basePath(base))
		for _, path := range []string{
			"/", "", "/nowhere", "/client-tokens/", "//client-tokens", "/client-tokens//", "/client-tokens/x", "/Client-Tokens",
			"/client%2Dtokens", "/client-tokens%2F", "/%63lient-tokens", "/./client-tokens", "/x/../client-tokens", "/session/", "/session;x",
			"/openapi.yml", "/openapi.yaml/", "/metrics", "/livez", "/readyz", "/debug/pprof/", "/favicon.ico", "/customers/alice",
			"/client-tokens%00", "/client-tokens%20", "/%2e%2e/session", "/auth/login", "/pay-ins", "/<script>",
		} {
			for _, method := range []string{http.MethodGet, http.MethodPost, "INVENTED"} {
				t.Run(method+" "+base+path, func(t *testing.T) {
					a := w.do(t, w.request(alice, method, path, body(`{"action":"customer.read"}`)))
					a.refused(t, http.StatusNotFound, "NotFound")
					a.access.has(t, accessLine{Route: "none", User: empty})
					if a.header.Get("Allow") != "" {
						t.Errorf("Allow is %q", a.header.Get("Allow"))
					}
				})
			}
		}
	}
}

func TestRoutesNeedTheBasePath(t *testing.T) {
	w := newWorld(t, basePath("/dropgate"))
	for path, method := range map[string]string{"/client-tokens": http.MethodPost, "/session": http.MethodGet, "/openapi.yaml": http.MethodGet} {
		r := w.request(alice, method, path, body(`{"action":"customer.read"}`))
		r.URL.Path = path
		a := w.do(t, r)
		a.refused(t, http.StatusNotFound, "NotFound")
	}
}

func TestWrongMethodGetsTheAllowedOnes(t *testing.T) {
	for _, base := range []string{"", "/dropgate"} {
		w := newWorld(t, basePath(base))
		for _, row := range []struct {
			path, allow string
			methods     []string
		}{
			{"/client-tokens", "POST", []string{"GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "INVENTED", "post"}},
			{"/session", "GET, HEAD, POST", []string{"PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "INVENTED"}},
			{"/openapi.yaml", "GET, HEAD", []string{"POST", "PUT", "DELETE", "OPTIONS"}},
		} {
			for _, method := range row.methods {
				t.Run(method+" "+base+row.path, func(t *testing.T) {
					a := w.do(t, w.request(alice, method, row.path))
					a.refused(t, http.StatusMethodNotAllowed, "MethodNotAllowed")
					if a.header.Get("Allow") != row.allow {
						t.Errorf("Allow is %q, want %q", a.header.Get("Allow"), row.allow)
					}
				})
			}
		}
	}
}

func TestBasePathPrefixesEveryRoute(t *testing.T) {
	w := newWorld(t, basePath("/bank/dropgate"))
	a := w.vend(t, alice, `{"action":"customer.read"}`)
	a.vended(t, w.filled(sentRead))
	a.access.has(t, accessLine{Route: "/bank/dropgate/client-tokens"})
	sessionOf(t, w.get(t, alice, "/session"))
	if a := w.get(t, nobody, "/openapi.yaml"); a.status != http.StatusOK {
		t.Errorf("answer %d", a.status)
	}
}

func TestContractIsPublic(t *testing.T) {
	w := newWorld(t)
	a := w.get(t, nobody, "/openapi.yaml")
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/yaml" || a.body != string(api.OpenAPI) {
		t.Errorf("answer %d of type %s and %d bytes", a.status, a.header.Get("Content-Type"), len(a.body))
	}
	a.access.has(t, accessLine{Route: "/openapi.yaml", User: empty, Code: empty, Reason: empty})
}

func TestQueryIsIgnored(t *testing.T) {
	w := newWorld(t)
	r := w.request(alice, http.MethodPost, "/client-tokens?action=customer.update&customer=x", body(`{"action":"customer.read"}`))
	a := w.do(t, r)
	a.vended(t, w.filled(sentRead))
	a = w.do(t, w.request(alice, http.MethodPost, "/client-tokens", body(`{"action":"customer.read"}`),
		header("X-HTTP-Method-Override", "GET"), header("X-Forwarded-Host", "evil.example"), header("X-Original-URL", "/session"),
		header("X-Forwarded-User", bob)))
	a.vended(t, w.filled(sentRead))
}
