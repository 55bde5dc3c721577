//go:build faults

package faults_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"dropgate/internal/dwolla/emulator"
	"dropgate/internal/tcpproxy"
)

// sweep drives servers through all that can succeed and fail, with every secret known.
// At the end of the test the world searches their output.
type sweep struct {
	*world

	t       *testing.T
	process *process
	client  *http.Client
}

// request is a request to a server.
type request struct {
	method, path, body string
	header             map[string]string
	admin              bool // sent to the admin listener
	want               int
}

// send sends a request, and records the answer. Accepted credentials count as used.
func (s *sweep) send(r request) string {
	s.t.Helper()
	host := s.process.public
	if r.admin {
		host = s.process.admin
	}
	req, err := http.NewRequestWithContext(s.t.Context(), r.method, "http://"+host+r.path, strings.NewReader(r.body))
	if err != nil {
		s.t.Fatal("the request is invalid") // the error may quote a secret
	}
	req.Header.Set("Content-Type", "application/json")
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		s.t.Errorf("%s %s: no answer", r.method, strings.Split(r.path, "?")[0])
		return ""
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Error(err)
	}
	if resp.StatusCode != r.want {
		s.t.Errorf("%s %s: %d, want %d", r.method, strings.Split(r.path, "?")[0], resp.StatusCode, r.want)
	}
	if resp.StatusCode < http.StatusBadRequest {
		for _, values := range req.Header {
			s.secrets.markUsed(values[0])
		}
	}
	s.evidence.recordAnswer(resp, string(body))
	return string(body)
}

// sweeping starts a server in a world, with settings changed.
func sweeping(t *testing.T, w *world, changes map[string]string) *sweep {
	t.Helper()
	w.withSpans(t)
	return &sweep{w, t, w.start(t, changes), &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		Timeout:       30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// near returns values almost equal to a secret. A log with one of them leaks as much.
func (w *world) near(name, secret string) []string {
	values := []string{secret[1:], secret + "x", strings.ToLower(secret)}
	for _, value := range values {
		w.secrets.addJWT("almost "+name, value)
	}
	return values
}

// echoing makes Dwolla answer with the request, including its credentials.
func (w *world) echoing(status int) (end func()) {
	return w.secrets.replaceAnswers("", func(rw http.ResponseWriter, r *http.Request) {
		sent := r.Header.Get("Authorization")
		rw.Header().Set("Content-Type", "application/vnd.dwolla.v1.hal+json")
		rw.WriteHeader(status)
		_, _ = fmt.Fprintf(rw, `{"code":%q,"message":%q,"error":%q,"error_description":%q}`, sent, sent, sent, sent)
	})
}

// directorySettings returns settings with every secret of the directory.
func directorySettings(w *world) map[string]string {
	return map[string]string{
		"ALLOWED_ACTIONS":       "dwolla-personal-vcr,dwolla-beneficial-owners",
		"DWOLLA_WEBHOOK_SECRET": w.secret("DWOLLA_WEBHOOK_SECRET"),
		"ENROLLMENT_KEYS":       w.secrets.newKey("the first of ENROLLMENT_KEYS") + "," + w.secrets.newKey("the second of ENROLLMENT_KEYS"),
		"ADMIN_TOKEN":           w.secret("ADMIN_TOKEN"),
	}
}

// TestDirectoryAndBearerTokensLeakNoSecret covers operators, enrollment, webhook
// events, bad tokens, and a Dwolla that echoes requests.
func TestDirectoryAndBearerTokensLeakNoSecret(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"json", "console"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.withPostgres(t)
			w.requirePassword(t)
			settings := directorySettings(w)
			maps.Copy(settings, map[string]string{"LOG_FORMAT": format})
			s := sweeping(t, w, settings)
			s.operators(settings["ADMIN_TOKEN"])
			s.webhooks(settings["DWOLLA_WEBHOOK_SECRET"])
			s.bearers(s.users[1].bearer)
			s.enrollment(strings.Split(settings["ENROLLMENT_KEYS"], ","))
			s.badDwolla()
			s.outages(settings["ADMIN_TOKEN"])
			s.spansArrive(t)
			w.secrets.requireUsed(t, usedByDirectory())
		})
	}
}

func (s *sweep) operators(token string) {
	href := `{"customer":"` + customerID(3) + `"}`
	for _, almost := range s.near("ADMIN_TOKEN", token) {
		s.send(request{admin: true, method: http.MethodGet, path: "/customers", header: bearer(almost), want: http.StatusUnauthorized})
	}
	for _, r := range []request{
		{method: http.MethodGet, path: "/customers", want: http.StatusOK},
		{method: http.MethodGet, path: "/customers/nobody", want: http.StatusNotFound},
		{method: http.MethodPut, path: "/customers/somebody", body: href, want: http.StatusConflict},
		{method: http.MethodPut, path: "/customers/somebody", body: `{"customer":"` + token + `"}`, want: http.StatusBadRequest},
		{method: http.MethodPatch, path: "/customers/somebody", body: href, want: http.StatusMethodNotAllowed},
	} {
		r.admin, r.header = true, bearer(token)
		s.send(r)
	}
}

func bearer(token string) map[string]string {
	return map[string]string{"Authorization": "Bearer " + token}
}

func (s *sweep) webhooks(secret string) {
	body := `{"id":"event-1","topic":"customer_suspended","resourceId":"` + customerID(5) + `","created":"2999-01-01T00:00:00.000Z"}`
	signed := emulator.Sign(secret, body)
	s.secrets.addUnused("a webhook's signature", signed)
	for _, r := range []struct {
		signature string
		body      string
		want      int
	}{
		{signed, body, http.StatusOK},
		{signed, body + " ", http.StatusUnauthorized},
		{signed[1:], body, http.StatusUnauthorized},
		{secret, body, http.StatusUnauthorized},
	} {
		s.send(request{
			method: http.MethodPost, path: "/webhooks/dwolla", body: r.body, want: r.want,
			header: map[string]string{"X-Request-Signature-SHA-256": r.signature},
		})
	}
	s.secrets.markUsed(secret) // the server accepted only what this secret signed
}

func (s *sweep) bearers(token string) {
	read := `{"action":"customer.read"}`
	s.send(request{method: http.MethodPost, path: "/client-tokens", body: read, header: bearer(token), want: http.StatusOK})
	s.send(request{method: http.MethodGet, path: "/session", header: bearer(token), want: http.StatusOK})
	s.secrets.addJWT("almost a bearer token", token[:len(token)-5])
	for _, bad := range append(s.near("a bearer token", token), token[:len(token)-5]) {
		s.send(request{method: http.MethodPost, path: "/client-tokens", body: read, header: bearer(bad), want: http.StatusUnauthorized})
	}
	// A token in places where none belongs.
	for _, r := range []request{
		{method: http.MethodPost, path: "/client-tokens", body: token, want: http.StatusBadRequest},
		{method: http.MethodPost, path: "/client-tokens", body: `{"action":"` + token + `"}`, want: http.StatusBadRequest},
		{method: http.MethodPost, path: "/client-tokens", body: `{"action":"customer.read","_links":{"` + token + `":{"href":"x"}}}`, want: http.StatusBadRequest},
		{method: http.MethodPost, path: "/client-tokens", body: `{"action":"customer.read","_links":{"customer":{"href":"` + token + `"}}}`, want: http.StatusBadRequest},
		{method: http.MethodGet, path: "/session?access_token=" + token, want: http.StatusOK},
		{method: http.MethodGet, path: "/nothing/" + token, want: http.StatusNotFound},
	} {
		r.header = bearer(token)
		s.send(r)
	}
}

// enrollment creates Customers for users without one, with the correlationId of the
// first key. One user got the correlationId before that key was added.
func (s *sweep) enrollment(keys []string) {
	token := s.newcomer("carol")
	var page struct{ CorrelationID string }
	if err := json.Unmarshal([]byte(s.send(request{method: http.MethodGet, path: "/session", header: bearer(token), want: http.StatusOK})), &page); err != nil {
		s.t.Fatal(err)
	}
	s.secrets.addUnused("a correlationId", page.CorrelationID)
	s.send(request{method: http.MethodPost, path: "/client-tokens", body: `{"action":"customer.create"}`, header: bearer(token), want: http.StatusOK})
	link := request{method: http.MethodPut, path: "/session/customer", body: s.createdWith(page.CorrelationID), header: bearer(token), want: http.StatusBadGateway}
	end := s.echoing(http.StatusBadRequest)
	s.send(link)
	end()
	link.want = http.StatusOK
	s.send(link)
	s.secrets.markUsed(page.CorrelationID) // the server accepted it from Dwolla
	s.send(request{method: http.MethodPut, path: "/session/customer", body: `{"href":"` + page.CorrelationID + `"}`, header: bearer(token), want: http.StatusBadRequest})
	s.send(request{method: http.MethodPut, path: "/session/customer", body: link.body, header: bearer(s.users[7].bearer), want: http.StatusForbidden})

	first, second := decoded(s.t, keys[0]), decoded(s.t, keys[1])
	if correlationID(first, "carol") != page.CorrelationID {
		s.t.Error("the correlationId does not use the first key")
	}
	s.secrets.markUsed(string(first))
	older := correlationID(second, "dave")
	s.secrets.add("a correlationId", older)
	s.send(request{method: http.MethodPut, path: "/session/customer", body: s.createdWith(older), header: bearer(s.newcomer("dave")), want: http.StatusOK})
	s.secrets.markUsed(string(second)) // its correlationId was accepted
}

// newcomer returns the bearer token of a user without a Customer.
func (s *sweep) newcomer(user string) string {
	s.t.Helper()
	token, err := s.provider.Token(map[string]any{
		"iss": s.settings["AUTH_BEARER_ISSUER"], "aud": "dropgate", "sub": user, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.secrets.addJWT("a bearer token", token)
	return token
}

// createdWith creates a Customer with a correlationId.
func (s *sweep) createdWith(correlationID string) string {
	s.t.Helper()
	created := s.dwolla.Customer(emulator.Customer{CorrelationID: correlationID})
	return `{"href":"http://` + s.toDwolla.Addr + "/customers/" + created.ID + `"}`
}

// badDwolla makes Dwolla misbehave in every possible way.
func (s *sweep) badDwolla() {
	read := request{method: http.MethodPost, path: "/client-tokens", body: `{"action":"customer.read"}`, header: bearer(s.users[1].bearer)}
	for status, want := range map[int]int{
		http.StatusOK: http.StatusBadGateway, http.StatusBadRequest: http.StatusBadGateway, http.StatusUnauthorized: http.StatusBadGateway,
		http.StatusInternalServerError: http.StatusServiceUnavailable,
	} {
		end := s.echoing(status)
		read.want = want
		s.send(read)
		end()
	}
	s.toDwolla.Fail(tcpproxy.Fault{Replace: s.settings["DWOLLA_CLIENT_SECRET"] + ": " + s.settings["DWOLLA_CLIENT_SECRET"] + "\r\n\r\n"})
	read.want = http.StatusServiceUnavailable
	s.send(read)
	s.toDwolla.Heal()
	s.dwolla.ExpireAccessTokens()
	end := s.echoing(http.StatusUnauthorized) // at /token, too
	read.want = http.StatusBadGateway
	s.send(read)
	end()
}

func (s *sweep) outages(adminToken string) {
	s.toPostgres.Stop()
	s.send(request{method: http.MethodPost, path: "/client-tokens", body: `{"action":"customer.update"}`, header: bearer(s.users[9].bearer), want: http.StatusServiceUnavailable})
	s.send(request{admin: true, method: http.MethodGet, path: "/customers", header: bearer(adminToken), want: http.StatusServiceUnavailable})
	s.evidence.recordAdminPages(s.t, s.process)
	s.toPostgres.Start()
}
