package app_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"dropgate/internal/dwolla/emulator"
	"dropgate/internal/tcpproxy"
)

// witness collects the output of a service: error responses, the logs, the metrics
// and readiness.
type witness struct {
	*service

	errors strings.Builder
}

// sees keeps the body of an error. Other responses go to their rightful user.
func (w *witness) sees(a answer) answer {
	if a.status >= http.StatusBadRequest {
		w.errors.WriteString(a.body + "\n")
	}
	return a
}

// send makes a request as a page of a user's does.
func (w *witness) send(t *testing.T, user, method, path, body string) answer {
	t.Helper()
	token, err := w.fixture.provider.TokenFor(user)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+w.PublicAddr()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + token}}
	return w.sees(do(t, r))
}

// keeps fails the test if a secret was seen in a likely encoding.
func (w *witness) keeps(t *testing.T, secrets map[string]string) {
	t.Helper()
	places := map[string]string{
		"an error": w.errors.String(), "the log": w.logs.String(),
		"/metrics": w.admin(t, "/metrics").body, "/readyz": w.admin(t, "/readyz").body,
	}
	for name, secret := range secrets {
		for _, form := range []string{secret, url.QueryEscape(secret), base64.StdEncoding.EncodeToString([]byte(secret)), hex.EncodeToString([]byte(secret))} {
			for place, text := range places {
				if strings.Contains(text, form) {
					t.Errorf("%s shows %s, as %.20s…", place, name, form)
				}
			}
		}
	}
	if len(places["an error"]) == 0 || len(places["the log"]) == 0 {
		t.Error("nothing has gone wrong: there is nothing to look at")
	}
}

// enrolled lets carol create a Customer. It returns the href and her correlationId.
func (w *witness) enrolled(t *testing.T) (href, correlationID string) {
	t.Helper()
	var page pageInfo
	if err := json.Unmarshal([]byte(w.send(t, "carol", http.MethodGet, "/session", "").body), &page); err != nil || page.CorrelationID == "" {
		t.Fatalf("no correlationId: %v", err)
	}
	w.send(t, "carol", http.MethodPost, "/client-tokens", `{"action":"customer.create"}`)
	created := w.fixture.dwolla.Customer(emulator.Customer{CorrelationID: page.CorrelationID})
	return w.fixture.settings["DWOLLA_BASE_URL"] + "/customers/" + created.ID, page.CorrelationID
}

// TestDirectoryShowsNoSecret goes through enrollment, webhooks, operators
// and an outage of the database.
func TestDirectoryShowsNoSecret(t *testing.T) {
	world := newFixture(t)
	g, at := tcpproxy.Before(t, withPassword(t, postgresURL(t)))
	w := &witness{service: world.start(t, map[string]string{
		"ALLOWED_ACTIONS": "dwolla-personal-vcr", "CUSTOMER_SOURCE": "database", "DATABASE_URL": at, "CUSTOMER_CACHE": "0s", "LOG_LEVEL": "debug",
		"ENROLLMENT_KEYS": enrollmentKey, "DWOLLA_WEBHOOK_SECRET": webhookSecret, "ADMIN_TOKEN": adminToken,
	})}
	href, correlationID := w.enrolled(t)
	// Dwolla's error is about what it was asked for.
	world.dwolla.InjectFault(emulator.OpReadCustomer, emulator.Fault{Status: http.StatusBadRequest, Body: `{"code":"` + correlationID + `","message":"` + correlationID + `"}`, Times: 1})
	for _, step := range []struct {
		user, method, path, body string
		status                   int
	}{
		{"carol", http.MethodPut, "/session/customer", `{"href":"` + href + `"}`, http.StatusBadGateway},
		{"mallory", http.MethodPut, "/session/customer", `{"href":"` + href + `"}`, http.StatusForbidden},
		{"mallory", http.MethodPut, "/session/customer", `{"href":"` + correlationID + `"}`, http.StatusBadRequest},
		{"carol", http.MethodPost, "/client-tokens", reading(href), http.StatusOK},
		{"carol", http.MethodPost, "/client-tokens", `{"action":"customer.create"}`, http.StatusConflict},
	} {
		if got := w.send(t, step.user, step.method, step.path, step.body); got.status != step.status {
			t.Errorf("%s %s %s by %s: %d %s, want %d", step.method, step.path, step.body, step.user, got.status, got.body, step.status)
		}
	}
	w.sees(w.tellSuspended(t, "the-very-wrong-secret"))
	w.sees(w.tellSuspended(t, webhookSecret))
	for _, token := range []string{adminToken, adminToken[1:]} {
		w.sees(w.operate(t, token, http.MethodPut, "/customers/mallory", `{"customer":"`+href+`"}`))
		w.sees(w.operate(t, token, http.MethodGet, "/customers/nobody", ""))
		w.sees(w.operate(t, token, http.MethodPatch, "/customers/mallory", ""))
	}
	g.Stop()
	if got := w.send(t, "carol", http.MethodPost, "/client-tokens", readCustomer); got.status != http.StatusServiceUnavailable {
		t.Errorf("without the database: %d %s", got.status, got.body)
	}
	w.sees(w.tellSuspended(t, webhookSecret))
	w.sees(w.operate(t, adminToken, http.MethodGet, "/customers", ""))
	w.keeps(t, map[string]string{
		"ENROLLMENT_KEYS": enrollmentKey, "the enrollment key": enrollmentBytes, "DWOLLA_WEBHOOK_SECRET": webhookSecret,
		"ADMIN_TOKEN": adminToken, "most of ADMIN_TOKEN": adminToken[1:], "the password of DATABASE_URL": databasePassword,
		"a correlationId": correlationID, "a correlationId's beginning": "dg1.",
	})
}

// TestLookupTokenIsNotShown, whatever the application answers with
// it.
func TestLookupTokenIsNotShown(t *testing.T) {
	application := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		echo := r.Header.Get("Authorization")
		switch r.URL.Path {
		case "/alice":
			_, _ = io.WriteString(w, `{"customer":"`+echo+`"}`)
		case "/carol":
			w.Header().Set("X-Echo", echo)
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, echo)
		default:
			w.Header().Set("Location", "/"+url.PathEscape(echo))
			w.WriteHeader(http.StatusFound)
		}
	}))
	t.Cleanup(application.Close)
	g, at := tcpproxy.Before(t, application.URL)
	w := &witness{service: newFixture(t).start(t, map[string]string{
		"CUSTOMER_SOURCE": "lookup", "CUSTOMER_LOOKUP_URL": at + "/{user}", "CUSTOMER_LOOKUP_TOKEN": lookupToken, "LOG_LEVEL": "debug",
	})}
	for _, user := range []string{"alice", "carol", "mallory"} {
		answers(t, user, w.send(t, user, http.MethodPost, "/client-tokens", readCustomer), http.StatusServiceUnavailable, "Unavailable")
	}
	g.Stop()
	answers(t, "away", w.send(t, "carol", http.MethodPost, "/client-tokens", readCustomer), http.StatusServiceUnavailable, "Unavailable")
	w.keeps(t, map[string]string{"CUSTOMER_LOOKUP_TOKEN": lookupToken})
}
