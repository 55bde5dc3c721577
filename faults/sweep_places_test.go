//go:build faults

package faults_test

import (
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/sdk/trace"

	"dropgate/internal/tracing"
	"dropgate/internal/tracing/otlp"
	"dropgate/internal/tracing/otlptest"
)

// canary is a secret that every encoding changes.
const canary = `a canary: "+/=&<>\` + "\u2028"

// leaky is a service that leaks the canary, differently on each path.
func leaky() http.Handler {
	mux := http.NewServeMux()
	says := func(path string, status int, head http.Header, body string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			maps.Copy(w.Header(), head)
			w.WriteHeader(status)
			_, _ = fmt.Fprint(w, body)
		})
	}
	html, quoted := template.HTMLEscapeString(canary), jsonText(canary)
	for _, path := range []string{"/metrics", "/readyz", "/version", "/livez"} {
		says(path, http.StatusOK, nil, "x{label="+quoted+"} 1")
	}
	isJSON, isHTML := http.Header{"Content-Type": {"application/json"}}, http.Header{"Content-Type": {"text/html; charset=utf-8"}}
	says("/error", http.StatusBadGateway, isJSON, `{"message":`+quoted+`}`)
	says("/answer", http.StatusOK, isJSON, `{"token":`+quoted+`}`)
	says("/page", http.StatusBadRequest, isHTML, "<p>"+html)
	escaped := strings.ReplaceAll(template.URLQueryEscaper(canary), "+", "%20")
	says("/header", http.StatusOK, http.Header{"X-Request-Id": {escaped}}, "{}")
	says("/cookie", http.StatusOK, http.Header{"Set-Cookie": {"x=" + escaped}}, "{}")
	says("/redirect", http.StatusSeeOther, http.Header{"Location": {"/answered?to=" + escaped}}, "")
	says("/login", http.StatusSeeOther, http.Header{"Location": {"/answered?code_challenge=x&scope=" + escaped}}, "")
	says("/answered", http.StatusOK, nil, "{}")
	return mux
}

// leaking is a world whose secret is the canary, with a leaky service and a browser.
type leaking struct {
	*evidence

	secrets *secrets
	process *process
	browser browser
	sweep   *sweep
	caller  *caller
}

func newLeaking(t *testing.T) leaking {
	t.Helper()
	server := httptest.NewServer(leaky())
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	l := leaking{evidence: &evidence{}, secrets: newSecrets(), process: &process{public: host, admin: host, stdout: newOutput(), stderr: newOutput()}}
	l.secrets.addUnused("the canary", canary)
	w := &world{secrets: l.secrets, evidence: l.evidence}
	l.addProcess(l.process)
	l.browser = (&site{Server: server, world: w}).browser(t)
	l.sweep = &sweep{w, t, l.process, &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	l.caller = &caller{client: server.Client(), header: http.Header{}, evidence: l.evidence}
	return l
}

// sendSpan sends a span with the canary to a collector, as a server does.
func (l leaking) sendSpan(t *testing.T) {
	t.Helper()
	l.collector = otlptest.New(t)
	exporter := otlp.New(otlp.Config{
		Endpoint: l.collector.URL + "/v1/traces", Sampler: trace.AlwaysSample(), Transport: http.DefaultTransport,
		Logger: zerolog.Nop(), Registerer: prometheus.NewRegistry(),
	})
	_, span := tracing.New(exporter).Request(t.Context())
	span.Set(tracing.Action, canary)
	span.End()
	if err := exporter.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestSweepLooksEverywhere leaks the canary in each place, and through each client and
// dependency of a server. The sweep must find it.
func TestSweepLooksEverywhere(t *testing.T) {
	t.Parallel()
	opens := func(path string) func(leaking) {
		return func(l leaking) { l.browser.open(t, http.MethodGet, l.browser.site.URL+path, "") }
	}
	sends := func(path string, want int) func(leaking) {
		return func(l leaking) { l.sweep.send(request{method: http.MethodGet, path: path, want: want}) }
	}
	calls := func(path string) func(leaking) {
		return func(l leaking) {
			l.caller.url = "http://" + l.process.public + path
			l.caller.call(t.Context())
		}
	}
	writes := func(to func(*process) *output, encode encoding) func(leaking) {
		return func(l leaking) { _, _ = to(l.process).Write([]byte(encode(canary) + "\n")) }
	}
	stdout, stderr := func(p *process) *output { return p.stdout }, func(p *process) *output { return p.stderr }
	for name, test := range map[string]struct {
		leak func(leaking)
		want []string
	}{
		"nowhere":                  {func(leaking) {}, nil},
		"the log":                  {writes(stdout, escapingEncodings()["zerolog"]), []string{"stdout"}},
		"the console log":          {writes(stdout, escapingEncodings()["zerolog, console"]), []string{"stdout"}},
		"a panic":                  {writes(stderr, func(s string) string { return fmt.Sprintf("panic: %v [recovered]\n\ngoroutine 1 [running]:", s) }), []string{"stderr"}},
		"a panic with an error":    {writes(stderr, escapingEncodings()["%q"]), []string{"stderr"}},
		"the admin listener":       {func(l leaking) { l.recordAdminPages(t, l.process) }, []string{"/livez", "/metrics", "/readyz", "/version"}},
		"an error, sent":           {sends("/error", http.StatusBadGateway), []string{placeError}},
		"an error, called":         {calls("/error"), []string{placeError}},
		"an error, to a browser":   {opens("/error"), []string{placeError}},
		"a good answer, sent":      {sends("/answer", http.StatusOK), []string{placeAnswer}},
		"a good answer, called":    {calls("/answer"), []string{placeAnswer}},
		"a page":                   {opens("/page"), []string{placePage}},
		"a header, sent":           {sends("/header", http.StatusOK), []string{placeHeader}},
		"a header, called":         {calls("/header"), []string{placeHeader}},
		"a header, to a browser":   {opens("/header"), []string{placeHeader}},
		"a cookie":                 {opens("/cookie"), []string{placeCookie}},
		"a redirect, not followed": {sends("/redirect", http.StatusSeeOther), []string{placeHeader}},
		"a redirect, followed":     {opens("/redirect"), []string{placeHeader}},
		"a redirect to a provider": {opens("/login"), []string{placeRedirect}},
		"a span":                   {func(l leaking) { l.sendSpan(t) }, []string{placeSpan}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLeaking(t)
			test.leak(l)
			var want []string
			for _, place := range test.want {
				want = append(want, place+" shows the canary")
			}
			if got := l.hits(l.secrets); !slices.Equal(got, want) {
				t.Errorf("the sweep found %q, want %q", got, want)
			}
		})
	}
}

// TestSweepExcusesSecretsMeantForTheReader, each in its own place only.
func TestSweepExcusesSecretsMeantForTheReader(t *testing.T) {
	t.Parallel()
	places := []string{"stdout", "stderr", "/metrics", placeError, placePage, placeHeader, placeAnswer, placeCookie, placeRedirect}
	for name, excused := range map[string][]string{
		"a client token": {placeAnswer}, "a correlationId": {placeAnswer}, "an ID token": {placeAnswer}, "a blob": {placeAnswer},
		"the cookie x": {placeCookie}, "a state": {placeRedirect}, "a nonce": {placeAnswer, placeRedirect},
		"a code": nil, "a code_verifier": nil, "an access token": nil, "a bearer token": nil, "a logout token": nil,
		"DWOLLA_CLIENT_SECRET": nil, "the password of REDIS_URL": nil,
	} {
		for _, place := range places {
			if got := allowedIn(place, name); got != slices.Contains(excused, place) {
				t.Errorf("allowedIn(%q, %q) = %t", place, name, got)
			}
		}
	}
}

// TestSweepFindsRealServerOutput treats normal output of the server as secrets. The
// sweep must find each of them in its place.
func TestSweepFindsRealServerOutput(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	secret := w.secret("AUTH_PROXY_SECRET")
	site := newSite(t, w, 1, map[string]string{
		"AUTH_MODES": "proxy,oidc", "AUTH_PROXY_SECRET": secret, "TRUSTED_PROXIES": "127.0.0.1/32",
		"CUSTOMER_SOURCE": "database", "DATABASE_URL": "sqlite:" + filepath.Join(t.TempDir(), "links.db"),
	})
	s := &sweep{w, t, site.processes[0], &http.Client{}}
	marks := newSecrets()
	mark := func(name, value string) string {
		marks.addUnused(name, value)
		return value
	}
	as := func(user, id string) map[string]string {
		return map[string]string{"X-Forwarded-User": user, "X-Proxy-Secret": secret, "X-Request-Id": id, "Sec-Fetch-Site": "same-origin"}
	}
	user := mark("a user", `"somebody"+<someone>&co\`)
	proxys := mark("a proxy's id", "an/id+of=a:proxy")
	id := func(name, pattern, answer string) string {
		found := regexp.MustCompile(pattern).FindStringSubmatch(answer)
		if found == nil {
			t.Fatalf("the answer lacks %s", name)
		}
		return mark(name, found[1])
	}
	failed := id("an error's id", `"requestId":"(\w+)"`,
		s.send(request{method: http.MethodPost, path: "/client-tokens", body: readCustomer, header: as(user, proxys), want: http.StatusConflict}))
	page := id("a page's id", `Request: <code>(\w+)</code>`, s.send(request{method: http.MethodGet, path: "/auth/callback", want: http.StatusBadRequest}))
	s.send(request{method: http.MethodGet, path: "/session", header: as(user, proxys), want: http.StatusOK})
	waitFor(t, "the access lines", 20*time.Second, func() bool {
		log := s.process.stdout.String()
		return strings.Contains(log, failed) && strings.Contains(log, page)
	})
	mark("a label", "customer.read")
	mark("a function", "net/http.(*conn).serve")
	w.evidence.recordAdminPages(t, s.process)
	if err := s.process.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.process.exited:
	case <-time.After(20 * time.Second):
		t.Fatal("the server did not exit after SIGQUIT")
	}
	got := w.evidence.hits(marks)
	for _, want := range []string{
		"stdout shows a user", "stdout shows an error's id", "stdout shows a page's id", "stdout shows a proxy's id", "stdout shows a label",
		"/metrics shows a label", "stderr shows a function", "an error shows an error's id", "a page shows a page's id", "a header shows an error's id",
		"an answer shows a user",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("the sweep missed %q; it found %q", want, got)
		}
	}
}
