package handler_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"path"
	"strings"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// with is an edit of a request.
type with func(*http.Request)

func header(name string, values ...string) with {
	return func(r *http.Request) { r.Header[http.CanonicalHeaderKey(name)] = values }
}

func without(name string) with { return func(r *http.Request) { r.Header.Del(name) } }

// inCookie moves the token of the request into the cookie.
func inCookie(r *http.Request) {
	_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	r.Header.Del("Authorization")
	r.AddCookie(&http.Cookie{Name: cookieName, Value: token})
}

// token is a good one of user.
func (w *world) token(user string) string {
	token := w.bearers.Bearer(user)
	w.tokens.add(token)
	return token
}

// request is one of user; path stands under the base path.
func (w *world) request(user, method, path string, edits ...with) *http.Request {
	r, err := http.NewRequestWithContext(w.tb.Context(), method, w.url+w.base+path, http.NoBody)
	if err != nil {
		w.tb.Fatal(err)
	}
	if user != nobody {
		r.Header.Set("Authorization", "Bearer "+w.token(user))
	}
	for _, edit := range edits {
		edit(r)
	}
	return r
}

// body sets a body and its JSON content type.
func body(content string) with {
	return func(r *http.Request) {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(content)), int64(len(content))
		r.Header.Set("Content-Type", "application/json")
	}
}

// vend asks for a client token for user.
func (w *world) vend(tb rapid.TB, user, content string, edits ...with) answer {
	tb.Helper()
	return w.do(tb, w.request(user, http.MethodPost, "/client-tokens", append([]with{body(content)}, edits...)...))
}

// get asks for a page for user.
func (w *world) get(tb rapid.TB, user, path string, edits ...with) answer {
	tb.Helper()
	return w.do(tb, w.request(user, http.MethodGet, path, edits...))
}

// answer is a complete response with the request's other effects.
type answer struct {
	status  int
	header  http.Header
	body    string
	problem problem // of an error answer
	page    *page   // of one for people
	access  accessLine
	audit   line     // nil unless the route leaves one
	calls   int      // of Dwolla's API
	sent    []string // bodies of requests to Dwolla
}

// problem is the one shape of errors.
type problem struct {
	Code      string   `json:"code"`
	Message   string   `json:"message"`
	RequestID string   `json:"requestId"`
	Embedded  embedded `json:"_embedded"`
}

type embedded struct {
	Errors []fault `json:"errors"`
}

type fault struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Path    string `json:"path"`
}

// do sends r, and checks the rules for every response.
func (w *world) do(tb rapid.TB, r *http.Request) answer {
	tb.Helper()
	w.heard()
	mark := w.logs.mark()
	resp, err := w.client.Do(r)
	if err != nil {
		tb.Fatalf("%s %s: %v", r.Method, r.URL, err)
	}
	defer func() { _ = resp.Body.Close() }()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatalf("reading the answer: %v", err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header, body: string(content)}
	a.calls, a.sent = w.heard()
	a.logged(tb, w, r, mark)
	a.hasSecurityHeaders(tb)
	if strings.HasPrefix(a.access.Route, w.base+"/auth/") {
		a.isOfASignIn(tb, w)
	} else if got := a.header["Set-Cookie"]; got != nil || a.header["Location"] != nil || a.status/100 == 3 && a.status != http.StatusNotModified {
		tb.Errorf("%s %s: %d, Set-Cookie %q, Location %q", r.Method, r.URL.Path, a.status, got, a.header["Location"])
	}
	a.hasTheOneShape(tb, r)
	return a
}

// logged takes the request's lines: one access line, and one audit line if a
// known user asked for a client token or a link.
func (a *answer) logged(tb rapid.TB, w *world, r *http.Request, mark int) {
	tb.Helper()
	w.logs.await(tb, mark, "access") // a client may have a long answer before its request ends
	access, audit := w.logs.since(mark, "access"), w.logs.since(mark, "audit")
	audits, event, good := 0, "", ""
	switch {
	case w.sink.isBroken():
	case len(access) == 1 && access[0].text("user") == "": // unknown users leave no entry
	case r.Method == http.MethodPost && r.URL.Path == w.base+"/client-tokens" && r.URL.RawPath == "":
		audits, event, good = 1, "client_token", "vended"
	case r.Method == http.MethodPut && r.URL.Path == w.base+"/session/customer" && a.status != http.StatusOK: // a change has its entry in the outbox
		audits, event, good = 1, "link", "linked"
	}
	if strings.HasPrefix(r.URL.Path, w.base+"/auth/") { // other tests look at these entries
		audits = len(audit)
	}
	if len(access) != 1 || len(audit) != audits {
		tb.Fatalf("%s %s left %d access lines and %d audit lines, want 1 and %d", r.Method, r.URL.Path, len(access), len(audit), audits)
	}
	a.access = accessLineOf(tb, access[0])
	a.access.has(tb, accessLine{Log: "access", Level: levelOf(a.status), Status: a.status})
	if id := a.header.Get("X-Request-Id"); id == "" || a.access.RequestID != id {
		tb.Errorf("X-Request-Id %q, in the access line %q", id, a.access.RequestID)
	}
	if r.Method != http.MethodHead && a.access.Bytes != len(a.body) {
		tb.Errorf("the access line has %d bytes, the response %d", a.access.Bytes, len(a.body))
	}
	if audits == 0 || event == "" {
		return
	}
	a.audit = audit[0]
	a.audited(tb, event, good)
}

// audited compares the audit line with the access line of the same request.
func (a *answer) audited(tb rapid.TB, event, good string) {
	tb.Helper()
	a.audit.has(tb, line{"event": event})
	a.audit.has(tb, line{
		"request_id": a.access.RequestID, "proxy_request_id": a.access.ProxyRequestID, "client_ip": a.access.ClientIP,
		"mode": a.access.Mode, "user": a.access.User, "reason": a.access.Reason,
	})
	if a.status == http.StatusOK && a.audit.text("outcome") != good {
		tb.Errorf("the audit line of what succeeded has the outcome %q", a.audit["outcome"])
	}
}

// hasSecurityHeaders checks the headers of every response.
func (a *answer) hasSecurityHeaders(tb rapid.TB) {
	tb.Helper()
	want := map[string]string{
		"Cache-Control":                "no-store",
		"Content-Security-Policy":      a.policy(),
		"Cross-Origin-Resource-Policy": "same-origin",
		"Referrer-Policy":              "no-referrer",
		"X-Content-Type-Options":       "nosniff",
	}
	if scriptFiles["/"+path.Base(a.access.Route)] != "" && a.status < http.StatusBadRequest {
		want["Cache-Control"], want["Cross-Origin-Resource-Policy"] = "no-cache", "cross-origin"
	}
	got := map[string]string{}
	for name := range want {
		got[name] = strings.Join(a.header[name], "; ")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		tb.Errorf("headers of the %d (-want +got):\n%s", a.status, diff)
	}
}

// hasTheOneShape checks the body of an error response, and that the log has the
// reason.
func (a *answer) hasTheOneShape(tb rapid.TB, r *http.Request) {
	tb.Helper()
	if a.status < http.StatusBadRequest {
		return
	}
	if a.page != nil {
		a.hasTheShapeOfAPage(tb)
		return
	}
	if got := a.header.Get("Content-Type"); got != "application/json" {
		tb.Errorf("the error is of type %q", got)
	}
	if a.access.Reason == "" {
		tb.Errorf("the log does not tell why %d was answered", a.status)
	}
	if r.Method == http.MethodHead {
		return
	}
	decoder := json.NewDecoder(bytes.NewReader([]byte(a.body)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&a.problem); err != nil || decoder.More() {
		tb.Fatalf("the error has not the one shape: %v: %.300s", err, a.body)
	}
	if a.problem.Message == "" || a.problem.RequestID != a.header.Get("X-Request-Id") {
		tb.Errorf("the error is %s, X-Request-Id %q", a.body, a.header.Get("X-Request-Id"))
	}
	if code := a.problem.Code; code == "" || a.access.Code != code || a.audit != nil && a.audit.text("outcome") != code {
		tb.Errorf("code %q of the answer, %q of the access line, %q of the audit line",
			code, a.access.Code, a.audit["outcome"])
	}
	if invalid := a.problem.Code == "ValidationError"; invalid != (len(a.problem.Embedded.Errors) > 0) {
		tb.Errorf("a %s has %d embedded errors", a.problem.Code, len(a.problem.Embedded.Errors))
	}
}

// failed fails tb unless a is the error.
func (a *answer) failed(tb rapid.TB, status int, code string) {
	tb.Helper()
	if a.status != status || a.problem.Code != code {
		tb.Errorf("answer %d %s (%.300s), want %d %s", a.status, a.problem.Code, a.access.Reason, status, code)
	}
	if strings.Contains(a.body, "token\":") || a.audit != nil && a.audit.text("token_sha256_prefix") != "" {
		tb.Errorf("an error with a token: %s", a.body)
	}
}

// refused fails tb unless a is the error, without a call to Dwolla.
func (a *answer) refused(tb rapid.TB, status int, code string) {
	tb.Helper()
	a.failed(tb, status, code)
	if a.calls != 0 {
		tb.Errorf("Dwolla was called %d times, with %q", a.calls, a.sent)
	}
}

// vended fails tb unless a has a token, made from exactly that request to Dwolla.
// It returns the token.
func (a *answer) vended(tb rapid.TB, sent string) string {
	tb.Helper()
	if a.status != http.StatusOK {
		tb.Fatalf("answer %d %s, want a token (%s)", a.status, a.body, a.access.Reason)
	}
	if diff := cmp.Diff([]string{sent}, a.sent); diff != "" {
		tb.Errorf("sent to Dwolla (-want +got):\n%s", diff)
	}
	var got map[string]string
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || len(got) != 1 || got["token"] == "" {
		tb.Fatalf("the answer is %s, want a token and nothing else", a.body)
	}
	return got["token"]
}

// levelOf is the level of the access line of a response.
func levelOf(status int) string {
	switch {
	case status >= 500:
		return "error"
	case status == 403, status == 429:
		return "warn"
	}
	return "info"
}
