package app_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dropgate/internal/tracing/otlptest"
)

// kindOf returns the documented name of a span: that of any request is "request", and
// that of any call of Dwolla is "dwolla".
func kindOf(span string) string {
	switch {
	case regexp.MustCompile(`^(GET|HEAD|POST|PUT|DELETE|OPTIONS) `).MatchString(span):
		return "request"
	case strings.HasPrefix(span, "dwolla "):
		return "dwolla"
	}
	return span
}

// documentedSpans returns the names in the table of docs/tracing.md.
func documentedSpans(t *testing.T) []string {
	t.Helper()
	page, err := os.ReadFile("../../docs/tracing.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "| span | time for | below |")
	table, _, _ = strings.Cut(table, "\n\n")
	kinds := map[string]bool{}
	for row := range strings.Lines(table) {
		if cells := strings.Split(row, "|"); len(cells) > 1 {
			for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[1], -1) {
				kinds[kindOf(name[1])] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(kinds))
}

// TestSpansAreThoseOfTheDocumentation drives a sign-in, an enrollment, a webhook, vends
// in three modes and a logout.
func TestSpansAreThoseOfTheDocumentation(t *testing.T) {
	collector := otlptest.New(t)
	replicas := []*service{signsIn(t, collector), asksTheApplication(t, collector), pushesParameters(t, collector)}
	for _, s := range replicas {
		s.end(t)
	}
	kinds := map[string]bool{}
	for _, span := range collector.Spans() {
		kinds[kindOf(span.Name)] = true
	}
	if diff := cmp.Diff(documentedSpans(t), slices.Sorted(maps.Keys(kinds))); diff != "" {
		t.Errorf("spans (-documented +recorded):\n%s", diff)
	}
}

// signsIn is the whole story of a user in the mode oidc, and a vend in the mode bearer
// with a new key of the provider.
func signsIn(t *testing.T, collector *otlptest.Collector) *service {
	t.Helper()
	settings := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": collector.URL}
	s := enrollingWith(t, directories()["SQLite"](t), 1, settings)
	s.subscribe(t)
	carol := s.browser(t)
	carol.signInAs("carol")
	carol.createCustomer(carol.session().CorrelationID)
	until(t, "the link by the webhook", func() bool { return carol.session().Customer != nil })
	wants(t, "reading", carol.vend(), `200 {"token":"`)
	carol.logout()

	bearer := s.fixture.start(t, settings)
	answers(t, "bearer", bearer.vend(t, "alice", readCustomer), http.StatusOK, "")
	if err := s.fixture.provider.Rotate(); err != nil {
		t.Fatal(err)
	}
	// It is too early for another fetch. The request looks for the new key nevertheless.
	answers(t, "bearer with a new key", bearer.vend(t, "alice", readCustomer), http.StatusUnauthorized, "Unauthenticated")
	bearer.end(t)
	return s.replicas[0]
}

// pushesParameters begins a sign-in at a provider that takes pushed requests.
func pushesParameters(t *testing.T, collector *otlptest.Collector) *service {
	t.Helper()
	mux := http.NewServeMux()
	provider := httptest.NewServer(mux)
	t.Cleanup(provider.Close)
	mux.HandleFunc("/.well-known/openid-configuration", func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(rw, `{"issuer":%q,"jwks_uri":%[1]q,"authorization_endpoint":%[1]q,"token_endpoint":%[1]q,"pushed_authorization_request_endpoint":"%[2]s/par"}`,
			provider.URL, provider.URL)
	})
	mux.HandleFunc("/par", func(rw http.ResponseWriter, _ *http.Request) {
		rw.WriteHeader(http.StatusCreated)
		_, _ = fmt.Fprint(rw, `{"request_uri":"urn:example:request"}`)
	})
	s := newFixture(t).start(t, oidc(map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": collector.URL, "AUTH_OIDC_ISSUER": provider.URL, "PUBLIC_URL": "http://127.0.0.1:1",
	}))
	s.signsInWithACode(t)
	return s
}

// asksTheApplication vends in the mode forward with the source lookup, shared limits,
// statuses read from Dwolla, and a beneficial owner.
func asksTheApplication(t *testing.T, collector *otlptest.Collector) *service {
	t.Helper()
	application := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(rw, `{"sub":"alice","customer":%q}`, alicesCustomer)
	}))
	t.Cleanup(application.Close)
	w := newFixture(t)
	owner := w.dwolla.BeneficialOwner(alicesCustomer)
	s := w.start(t, map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": collector.URL, "AUTH_MODES": "forward", "AUTH_FORWARD_URL": application.URL + "/me",
		"CUSTOMER_SOURCE": "lookup", "CUSTOMER_LOOKUP_URL": application.URL + "/{user}", "CUSTOMER_STATUS_INTERVAL": "1h",
		"ALLOWED_ACTIONS": "dwolla-beneficial-owners", "REDIS_URL": redisURL(t), "RATE_LIMIT_USER": "1000/1m",
	})
	body := fmt.Sprintf(`{"action":"beneficialowners.update","_links":{"beneficial-owner":{"href":"%s/beneficial-owners/%s"}}}`, w.dwolla.URL, owner)
	answers(t, "owner", s.vend(t, "alice", body), http.StatusOK, "")
	return s
}

// TestLinkByWebhookNamesTheTraceOfItsProcessing follows the way from the receipt: its link
// leads to the trace that the audit entry of the new link names.
func TestLinkByWebhookNamesTheTraceOfItsProcessing(t *testing.T) {
	collector := otlptest.New(t)
	s := enrollingWith(t, directories()["SQLite"](t), 1, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": collector.URL})
	s.subscribe(t)
	carol := s.browser(t)
	carol.signInAs("carol")
	carol.createCustomer(carol.session().CorrelationID)
	until(t, "the link by the webhook", func() bool { return carol.session().Customer != nil })
	until(t, "the audit line", func() bool { return len(s.links(t)) > 0 })
	s.replicas[0].end(t)
	entry := only(t, s.links(t))
	var receipts []string
	for _, span := range collector.Named("POST /dropgate/webhooks/dwolla") {
		receipts = append(receipts, span.Links...)
	}
	for _, span := range collector.Named("webhook") {
		if span.TraceID == entry["trace_id"] && span.Attributes["dropgate.webhook.outcome"] == "linked" && slices.Contains(receipts, span.TraceID+"/"+span.ID) {
			return
		}
	}
	t.Errorf("the entry %v names no span with a receipt: %v\n%s", entry, receipts, collector.Text())
}
