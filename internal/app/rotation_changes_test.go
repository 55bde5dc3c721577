package app_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"dropgate/internal/auth/oidctest"
	"dropgate/internal/clienttoken"
	"dropgate/internal/dwolla/emulator"
	"dropgate/internal/tracing/otlptest"
)

// with starts the service with these settings, and those of the call.
func (w *fixture) with(own map[string]string) func(*testing.T, map[string]string) *service {
	return func(t *testing.T, settings map[string]string) *service {
		t.Helper()
		settings = maps.Clone(settings)
		maps.Copy(settings, own)
		return w.start(t, settings)
	}
}

// recorded keeps the last value of something.
type recorded struct{ atomic.Pointer[string] }

func (r *recorded) keep(value string) { r.Store(&value) }

func (r *recorded) is(value string) bool {
	last := r.Load()
	return last != nil && *last == value
}

func changeOfDwollaSecret(t *testing.T) change {
	t.Helper()
	w, last := newFixture(t), &recorded{}
	w.dwolla.Intercept(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if id, secret, basic := r.BasicAuth(); basic {
				last.keep(secret)
				r.SetBasicAuth(id, "the-very-secret")
			}
			next.ServeHTTP(rw, r)
		})
	})
	return change{
		before: "the-very-secret-of-dwolla-1", after: "the-very-secret-of-dwolla-2", start: w.with(nil),
		uses: func(_ *testing.T, _ *service, value string) bool { return last.is(value) },
	}
}

func changeOfOIDCSecret(t *testing.T) change {
	t.Helper()
	var at *site
	return change{
		before: webSecret, after: webSecret + "-2",
		start: func(t *testing.T, settings map[string]string) *service {
			t.Helper()
			at = newSite(t, 1, settings)
			return at.replicas[0]
		},
		uses: func(t *testing.T, _ *service, value string) bool {
			t.Helper()
			client := oidctest.Client(at.URL + "/dropgate")
			client.Secret = clienttoken.NewSecret(value)
			at.fixture.provider.AddClient(client)
			return at.browser(t).enters()
		},
	}
}

// enters signs alice in, and reports whether that works.
func (b browser) enters() bool {
	b.t.Helper()
	_, page := b.get(b.site.URL + "/dropgate/auth/login?return_to=/dropgate/session")
	form, ok := oidctest.Form(page)
	if !ok {
		return false
	}
	form.Set("user", "alice")
	at, page := b.do(http.MethodPost, b.site.fixture.settings["AUTH_BEARER_ISSUER"]+"/login", form.Encode(),
		http.Header{"Content-Type": {"application/x-www-form-urlencoded"}})
	return at == b.site.URL+"/dropgate/session" && strings.HasPrefix(page, "200 ")
}

func changeOfProxySecret(t *testing.T) change {
	t.Helper()
	return change{
		before: "the-very-secret-of-the-proxy-1", after: "the-very-secret-of-the-proxy-2",
		start: newFixture(t).with(map[string]string{
			"AUTH_MODES": "proxy", "TRUSTED_PROXIES": "127.0.0.1", "CUSTOMER_SOURCE": "database", "DATABASE_URL": directories()["SQLite"](t),
		}),
		uses: func(t *testing.T, s *service, value string) bool {
			t.Helper()
			return s.sends(t, "/client-tokens", readCustomer, http.Header{
				"X-Forwarded-User": {"carol"}, "X-Proxy-Secret": {value}, "Sec-Fetch-Site": {"same-origin"},
			}).status == http.StatusConflict // no Customer yet
		},
	}
}

// sends makes a POST request to the public listener.
func (s *service) sends(t *testing.T, path, body string, header http.Header) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.PublicAddr()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header
	r.Header.Set("Content-Type", "application/json")
	return do(t, r)
}

// key is a base64 key of 32 bytes.
func key(n int) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "the very secret key of 32 byte %d", n))
}

// changeOfSessionKeys opens sessions at replicas that know one key alone.
func changeOfSessionKeys(t *testing.T) change {
	t.Helper()
	var at *site
	knowing := map[string]*service{}
	return change{
		before: key(1), after: key(2),
		start: func(t *testing.T, settings map[string]string) *service {
			t.Helper()
			maps.Copy(settings, map[string]string{"SESSION_STORE": "redis", "REDIS_URL": redisURL(t)})
			at = newSite(t, 1, settings)
			for _, only := range []string{key(1), key(2)} {
				own := oidc(map[string]string{
					"AUTH_OIDC_ISSUER": at.fixture.settings["AUTH_BEARER_ISSUER"], "PUBLIC_URL": at.URL, "BASE_PATH": "/dropgate",
					"SESSION_STORE": "redis", "REDIS_URL": redisURL(t), "SESSION_KEYS": only,
				})
				knowing[only] = at.fixture.start(t, own)
			}
			return at.replicas[0]
		},
		uses: func(t *testing.T, s *service, value string) bool {
			t.Helper()
			at.replicas = []*service{s}
			b := at.browser(t)
			if !b.enters() { // the key changes during a sign-in
				return false
			}
			at.replicas = []*service{knowing[value]}
			return strings.HasPrefix(b.vend(), "200 ")
		},
	}
}

func changeOfLookupToken(t *testing.T) change {
	t.Helper()
	last := &recorded{}
	application := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		last.keep(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		_, _ = w.Write([]byte(`{"customer":"` + alicesCustomer + `"}`))
	}))
	t.Cleanup(application.Close)
	return change{
		before: lookupToken, after: lookupToken + "-2",
		start: newFixture(t).with(map[string]string{"CUSTOMER_SOURCE": "lookup", "CUSTOMER_LOOKUP_URL": application.URL + "/{user}", "CUSTOMER_CACHE": "0s"}),
		uses: func(t *testing.T, s *service, value string) bool {
			t.Helper()
			return s.vend(t, "alice", readCustomer).status == http.StatusOK && last.is(value)
		},
	}
}

// changeOfEnrollmentKeys compares correlation ids with those of a service that knows one
// key alone.
func changeOfEnrollmentKeys(t *testing.T) change {
	t.Helper()
	w := newFixture(t)
	settings := func() map[string]string {
		return map[string]string{"ALLOWED_ACTIONS": "dwolla-personal-vcr", "CUSTOMER_SOURCE": "database", "DATABASE_URL": directories()["SQLite"](t)}
	}
	correlation := func(s *service) string {
		var info pageInfo
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.PublicAddr()+"/session", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+w.provider.Bearer("carol"))
		_ = json.Unmarshal([]byte(do(t, r).body), &info) // no id at first, without the provider's keys
		return info.CorrelationID
	}
	knowing := map[string]*service{}
	for _, only := range []string{key(1), key(2)} {
		knowing[only] = w.with(settings())(t, map[string]string{"ENROLLMENT_KEYS": only})
	}
	return change{
		before: key(1), after: key(2), start: w.with(settings()),
		uses: func(_ *testing.T, s *service, value string) bool {
			id := correlation(s)
			return id != "" && id == correlation(knowing[value])
		},
	}
}

func changeOfWebhookSecret(t *testing.T) change {
	t.Helper()
	n := 0
	return change{
		before: webhookSecret, after: webhookSecret + "-2",
		start: newFixture(t).with(map[string]string{"DATABASE_URL": directories()["SQLite"](t)}),
		uses: func(t *testing.T, s *service, value string) bool {
			t.Helper()
			n++
			body := fmt.Sprintf(`{"id":"event-%d","topic":"customer_verified","resourceId":%q,"created":"2026-01-01T00:00:00Z"}`, n, alicesCustomer)
			return s.sends(t, "/webhooks/dwolla", body, http.Header{"X-Request-Signature-Sha-256": {emulator.Sign(value, body)}}).status == http.StatusOK
		},
	}
}

func changeOfAdminToken(t *testing.T) change {
	t.Helper()
	return change{
		before: oldAdminToken, after: newAdminToken,
		start: newFixture(t).with(map[string]string{"CUSTOMER_SOURCE": "database", "DATABASE_URL": "sqlite:" + filepath.Join(t.TempDir(), "links.db")}),
		uses: func(t *testing.T, s *service, value string) bool {
			t.Helper()
			return s.asks(t, value) == http.StatusOK
		},
	}
}

// changeOfProxy looks at what a proxy gets for calls to Dwolla.
func changeOfProxy(t *testing.T, dwolla string) change {
	t.Helper()
	last := &recorded{}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		last.keep(r.Header.Get("Proxy-Authorization"))
		w.WriteHeader(http.StatusBadGateway)
	}))
	t.Cleanup(proxy.Close)
	with := func(password string) string {
		return strings.Replace(proxy.URL, "http://", "http://dropgate:"+password+"@", 1)
	}
	return change{
		before: with("the-very-secret-1"), after: with("the-very-secret-2"), start: newFixture(t).with(map[string]string{"DWOLLA_BASE_URL": dwolla}),
		uses: func(t *testing.T, s *service, value string) bool {
			t.Helper()
			s.vend(t, "alice", readCustomer)
			at, err := url.Parse(value)
			if err != nil {
				t.Fatal(err)
			}
			return last.is("Basic " + base64.StdEncoding.EncodeToString([]byte(at.User.String())))
		},
	}
}

func changeOfHTTPSProxy(t *testing.T) change {
	t.Helper()
	return changeOfProxy(t, "https://dwolla.test")
}

func changeOfHTTPProxy(t *testing.T) change {
	t.Helper()
	return changeOfProxy(t, "http://dwolla.test")
}

func changeOfTraceHeaders(t *testing.T) change {
	t.Helper()
	last, collector := &recorded{}, otlptest.New(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		last.keep("api-key=" + r.Header.Get("Api-Key"))
		collector.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return change{
		before: "api-key=the-very-secret-1", after: "api-key=the-very-secret-2",
		start: newFixture(t).with(map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": server.URL}),
		uses: func(t *testing.T, s *service, value string) bool {
			t.Helper()
			s.vend(t, "alice", readCustomer)
			return last.is(value)
		},
	}
}
