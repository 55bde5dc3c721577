package app_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"dropgate/internal/customer/customerdb"
)

// post asks for a client token with these headers.
func (s *service) post(t *testing.T, header map[string]string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.PublicAddr()+"/client-tokens", strings.NewReader(`{"action":"customer.read"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for name, value := range header {
		r.Header.Set(name, value)
	}
	return do(t, r)
}

func TestForwardModeSignsIn(t *testing.T) {
	application := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("Cookie") {
		case "app=alices":
			_, _ = io.WriteString(w, `{"sub":"alice","dwolla_customer":"`+alicesCustomer+`"}`)
		case "app=down":
			w.WriteHeader(http.StatusInternalServerError)
		default:
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(application.Close)
	s := newFixture(t).start(t, map[string]string{"AUTH_MODES": "bearer,forward", "AUTH_FORWARD_URL": application.URL})
	for name, c := range map[string]struct {
		header map[string]string
		status int
	}{
		"signed in":                        {map[string]string{"Cookie": "app=alices", "Sec-Fetch-Site": "same-origin"}, http.StatusOK},
		"unknown initiator":                {map[string]string{"Cookie": "app=alices"}, http.StatusForbidden},
		"caused by another site":           {map[string]string{"Cookie": "app=alices", "Sec-Fetch-Site": "cross-site"}, http.StatusForbidden},
		"not signed in":                    {map[string]string{"Cookie": "app=other", "Sec-Fetch-Site": "same-origin"}, http.StatusUnauthorized},
		"no cookie":                        {nil, http.StatusUnauthorized},
		"the application is down":          {map[string]string{"Cookie": "app=down", "Sec-Fetch-Site": "same-origin"}, http.StatusServiceUnavailable},
		"a bad token beside a good cookie": {map[string]string{"Cookie": "app=alices", "Authorization": "Bearer x", "Sec-Fetch-Site": "same-origin"}, http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			if got := s.post(t, c.header); got.status != c.status {
				t.Errorf("status %d, want %d: %s", got.status, c.status, got.body)
			}
		})
	}
}

func TestProxyModeSignsIn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "links.db")
	store, err := customerdb.OpenSQLite(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Link(t.Context(), "alice", alicesCustomer); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{
		"AUTH_MODES": "proxy", "AUTH_PROXY_SECRET": "the-very-secret-of-the-proxy", "TRUSTED_PROXIES": "127.0.0.0/8",
		"CUSTOMER_SOURCE": "database", "DATABASE_URL": "sqlite:" + file,
	}
	by := func(user, secret string) map[string]string {
		return map[string]string{"X-Forwarded-User": user, "X-Proxy-Secret": secret, "Sec-Fetch-Site": "same-origin"}
	}
	w := newFixture(t)
	s := w.start(t, settings)
	for name, c := range map[string]struct {
		header map[string]string
		status int
	}{
		"the proxy":        {by("alice", "the-very-secret-of-the-proxy"), http.StatusOK},
		"a wrong secret":   {by("alice", "the-very-secret"), http.StatusUnauthorized},
		"a header alone":   {map[string]string{"X-Forwarded-User": "alice", "Sec-Fetch-Site": "same-origin"}, http.StatusUnauthorized},
		"an unknown user":  {by("bob", "the-very-secret-of-the-proxy"), http.StatusConflict},
		"no header at all": {nil, http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			if got := s.post(t, c.header); got.status != c.status {
				t.Errorf("status %d, want %d: %s", got.status, c.status, got.body)
			}
		})
	}
	if strings.Contains(s.logs.String(), "the-very-secret") {
		t.Error("the secret is in the log")
	}
	settings["TRUSTED_PROXIES"] = "10.0.0.0/8"
	if got := w.start(t, settings).post(t, by("alice", "the-very-secret-of-the-proxy")); got.status != http.StatusUnauthorized {
		t.Errorf("from outside of TRUSTED_PROXIES: %d %s", got.status, got.body)
	}
}
