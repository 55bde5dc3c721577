package app_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dropgate/internal/dwolla/emulator"
	"dropgate/internal/tracing"
	"dropgate/internal/tracing/otlptest"
)

// traced starts a service that sends spans to a collector.
func (w *fixture) traced(t *testing.T, changes map[string]string) (*service, *otlptest.Collector) {
	t.Helper()
	collector := otlptest.New(t)
	settings := maps.Clone(changes)
	if settings == nil {
		settings = map[string]string{}
	}
	settings["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.URL
	return w.start(t, settings), collector
}

// end stops the service, which sends its last spans.
func (s *service) end(t *testing.T) {
	t.Helper()
	s.stop()
	if err := <-s.done; err != nil {
		t.Error(err)
	}
}

// below returns "parent > name" of each span in one trace, sorted.
func below(spans []otlptest.Span, traceID string) []string {
	names := map[string]string{"": ""}
	for _, s := range spans {
		names[s.ID] = s.Name
	}
	var all []string
	for _, s := range spans {
		if s.TraceID == traceID {
			all = append(all, names[s.ParentID]+" > "+s.Name)
		}
	}
	slices.Sort(all)
	return all
}

func only[T any](t *testing.T, all []T) T {
	t.Helper()
	if len(all) != 1 {
		t.Fatalf("%d of %T, want one: %+v", len(all), all, all)
	}
	return all[0]
}

func TestEveryStepOfAVendHasASpan(t *testing.T) {
	w := newFixture(t)
	owner := w.dwolla.BeneficialOwner(alicesCustomer)
	s, collector := w.traced(t, map[string]string{
		"ALLOWED_ACTIONS": "dwolla-beneficial-owners", "CUSTOMER_SOURCE": "claim", "DATABASE_URL": directories()["SQLite"](t), "DWOLLA_WEBHOOK_SECRET": webhookSecret,
		"REDIS_URL": redisURL(t), "RATE_LIMIT_USER": "1000/1m", "CUSTOMER_CACHE": "0s",
	})
	body := fmt.Sprintf(`{"action":"beneficialowners.update","_links":{"beneficial-owner":{"href":"%s/beneficial-owners/%s"}}}`, w.dwolla.URL, owner)
	if got := s.vend(t, "alice", body); got.status != http.StatusOK {
		t.Fatalf("%d %s", got.status, got.body)
	}
	s.end(t)
	spans := collector.Spans()
	root := only(t, collector.Named("POST /client-tokens"))
	entry := only(t, s.logs.lines(t, "audit"))
	got := slices.DeleteFunc(below(spans, root.TraceID), func(s string) bool { return strings.HasSuffix(s, "> keys") }) // only before the first fetch
	want := []string{
		" > POST /client-tokens", "POST /client-tokens > audit", "POST /client-tokens > credentials", "POST /client-tokens > directory",
		"POST /client-tokens > dwolla create_client_token", "POST /client-tokens > access token", "POST /client-tokens > limits",
		"POST /client-tokens > owners", "POST /client-tokens > policy", "POST /client-tokens > slot", "directory > status",
		"owners > access token", "owners > dwolla list_beneficial_owners", "owners > slot",
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("spans:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if root.Kind != "SERVER" || root.ParentID != "" || root.Service["service.name"] != "dropgate" || root.Service["service.version"] != "v0.0.0-test" {
		t.Errorf("the root is %+v", root)
	}
	wantRoot := map[string]string{
		"http.request.method": "POST", "http.route": "/client-tokens", "http.response.status_code": "200", "dropgate.mode": "bearer",
		"dropgate.action": "beneficialowners.update", "dropgate.request_id": fmt.Sprint(entry["request_id"]),
	}
	if !maps.Equal(root.Attributes, wantRoot) {
		t.Errorf("the root has %v, want %v", root.Attributes, wantRoot)
	}
	attempt := only(t, collector.Named("dwolla create_client_token"))
	if id := entry["dwolla_request_id"]; attempt.Attributes["dropgate.dwolla.request_id"] != id || id == "" || attempt.Kind != "CLIENT" {
		t.Errorf("the attempt is %+v, want Dwolla's request id %s", attempt, id)
	}
}

func TestTraceIDIsInAccessAndAuditLines(t *testing.T) {
	w := newFixture(t)
	s, collector := w.traced(t, nil)
	s.vend(t, "alice", readCustomer)
	s.end(t)
	id := only(t, collector.Named("POST /client-tokens")).TraceID
	for _, kind := range []string{"access", "audit"} {
		lines := s.logs.lines(t, kind)
		if last := lines[len(lines)-1]; last["trace_id"] != id {
			t.Errorf("the %s line names the trace %v, want %s", kind, last["trace_id"], id)
		}
	}
	off := w.start(t, nil)
	off.vend(t, "alice", readCustomer)
	off.end(t)
	if strings.Contains(off.logs.String(), "trace_id") {
		t.Error("a line names a trace, and tracing is off")
	}
}

func TestRetriedAttemptNamesItsReason(t *testing.T) {
	w := newFixture(t)
	s, collector := w.traced(t, nil)
	w.dwolla.InjectFault(emulator.OpCreateClientToken, emulator.Fault{Status: http.StatusBadGateway, Times: 1})
	if got := s.vend(t, "alice", readCustomer); got.status != http.StatusOK {
		t.Fatalf("%d %s", got.status, got.body)
	}
	s.end(t)
	attempts := collector.Named("dwolla create_client_token")
	if len(attempts) != 2 {
		t.Fatalf("%d attempts, want 2", len(attempts))
	}
	first, second := attempts[0], attempts[1]
	if !first.Failed || first.Attributes["error.type"] != "502" || first.Attributes["http.response.status_code"] != "502" || first.Attributes["dropgate.dwolla.retry_reason"] != "" {
		t.Errorf("the first attempt is %+v", first)
	}
	if second.Failed || second.Attributes["http.request.resend_count"] != "1" || second.Attributes["dropgate.dwolla.retry_reason"] != "502" {
		t.Errorf("the second attempt is %+v", second)
	}
	if first.Attributes["dropgate.dwolla.request_id"] == second.Attributes["dropgate.dwolla.request_id"] || first.Attributes["dropgate.dwolla.request_id"] == "" {
		t.Error("the attempts do not name their request ids of Dwolla")
	}
}

const (
	callersTrace  = "0af7651916cd43dd8448eb211c80319c"
	callersParent = "00-" + callersTrace + "-b7ad6b7169203331-01"
)

func TestOnlyTrustedProxiesContinueATrace(t *testing.T) {
	w := newFixture(t)
	for proxies, want := range map[string]bool{"": false, "192.0.2.0/24": false, "127.0.0.0/8": true} {
		s, collector := w.traced(t, map[string]string{"TRUSTED_PROXIES": proxies})
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.PublicAddr()+"/client-tokens", strings.NewReader(readCustomer))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header{"Traceparent": {callersParent}, "Content-Type": {"application/json"}, "Authorization": {"Bearer " + w.provider.Bearer("alice")}}
		do(t, r)
		s.end(t)
		root := only(t, collector.Named("POST /client-tokens"))
		if got := root.TraceID == callersTrace && root.ParentID == "b7ad6b7169203331"; got != want || len(root.Links) > 0 {
			t.Errorf("TRUSTED_PROXIES=%q: the span is %+v; want the caller's trace: %t", proxies, root, want)
		}
		if !want && strings.Contains(collector.Text()+s.logs.String(), callersTrace) {
			t.Error("a stranger's id has been recorded")
		}
	}
}

func TestWebhookReceiptLinksToItsProcessing(t *testing.T) {
	for name, database := range directories() {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			s, collector := w.traced(t, map[string]string{
				"DATABASE_URL": database(t), "CUSTOMER_CACHE": "0s", "DWOLLA_WEBHOOK_SECRET": webhookSecret,
			})
			w.dwolla.InjectFault(emulator.OpReadCustomer, emulator.Fault{Status: http.StatusBadRequest, Times: 1})
			s.tell(t, "e1", "customer_somethingnew", time.Now())
			until(t, "the second attempt", func() bool { return len(collector.Named("webhook")) > 1 })
			s.end(t)
			receipt, attempts := only(t, collector.Named("POST /webhooks/dwolla")), collector.Named("webhook")
			first := attempts[0]
			if !slices.Equal(receipt.Links, []string{first.TraceID + "/" + first.ID}) || receipt.Attributes["dropgate.webhook.outcome"] != "queued" {
				t.Errorf("the receipt is %+v, want a link to %s/%s", receipt, first.TraceID, first.ID)
			}
			areAttempts(t, attempts, receipt.TraceID)
			if !first.Failed || attempts[len(attempts)-1].Failed || !slices.Contains(below(collector.Spans(), first.TraceID), "webhook > dwolla get_customer") {
				t.Errorf("attempts: %+v", attempts)
			}
		})
	}
}

// areAttempts checks that spans are the numbered attempts of one trace, other than the
// receipt's.
func areAttempts(t *testing.T, attempts []otlptest.Span, receiptTrace string) {
	t.Helper()
	for i, span := range attempts {
		if span.TraceID != attempts[0].TraceID || span.TraceID == receiptTrace || span.ParentID != "" ||
			span.Kind != "CONSUMER" || span.Attributes["dropgate.webhook.attempt"] != fmt.Sprint(i+1) {
			t.Errorf("attempt %d is %+v", i+1, span)
		}
	}
}

// headers keeps the headers of the last request to a server.
type headers struct {
	mu   sync.Mutex
	last http.Header
}

func (h *headers) keep(r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = r.Header.Clone()
}

func (h *headers) get() http.Header {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}

// TestApplicationLearnsRequestAndTrace covers lookup and forward. The request id does
// not depend on tracing.
func TestApplicationLearnsRequestAndTrace(t *testing.T) {
	var seen headers
	application := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		seen.keep(r)
		rw.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(rw, `{"sub":"alice","customer":%q,"dwolla_customer":%q}`, alicesCustomer, alicesCustomer)
	}))
	t.Cleanup(application.Close)
	for span, changes := range map[string]map[string]string{
		"lookup":  {"CUSTOMER_SOURCE": "lookup", "CUSTOMER_LOOKUP_URL": application.URL + "/{user}"},
		"forward": {"AUTH_MODES": "forward", "AUTH_FORWARD_URL": application.URL + "/me"},
	} {
		w := newFixture(t)
		s, collector := w.traced(t, changes)
		got := s.vend(t, "alice", readCustomer)
		s.end(t)
		call := only(t, collector.Named(span))
		want := "00-" + call.TraceID + "-" + call.ID + "-01"
		if passed := seen.get(); got.status != http.StatusOK || passed.Get("Traceparent") != want || passed.Get("X-Request-Id") != got.header.Get("X-Request-Id") || passed.Get("X-Request-Id") == "" {
			t.Errorf("%s: %d; the application got %v, want traceparent %s", span, got.status, passed, want)
		}
		off := w.start(t, changes)
		got = off.vend(t, "alice", readCustomer)
		off.end(t)
		if passed := seen.get(); passed.Get("X-Request-Id") != got.header.Get("X-Request-Id") || passed.Get("Traceparent") != "" {
			t.Errorf("%s without tracing: the application got %v", span, passed)
		}
	}
}

func TestDwollaGetsTraceOnlyIfSwitchedOn(t *testing.T) {
	for setting, want := range map[string]bool{"": false, "false": false, "true": true} {
		w := newFixture(t)
		var seen headers
		w.dwolla.Intercept(func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				seen.keep(r)
				next.ServeHTTP(rw, r)
			})
		})
		s, collector := w.traced(t, map[string]string{"DWOLLA_TRACE_CONTEXT": setting})
		s.vend(t, "alice", readCustomer)
		s.end(t)
		call := only(t, collector.Named("dwolla create_client_token"))
		passed := seen.get()
		if got := passed.Get("Traceparent") == "00-"+call.TraceID+"-"+call.ID+"-01" && passed.Get("X-Request-Id") != ""; got != want {
			t.Errorf("DWOLLA_TRACE_CONTEXT=%q: Dwolla got %v", setting, passed)
		}
		if !want && (passed.Get("Traceparent") != "" || passed.Get("X-Request-Id") != "") {
			t.Errorf("DWOLLA_TRACE_CONTEXT=%q: Dwolla got %v", setting, passed)
		}
	}
}

// TestSpansHoldNoUserIDOrUnlistedKey covers good and bad requests.
func TestSpansHoldNoUserIDOrUnlistedKey(t *testing.T) {
	w := newFixture(t)
	s, collector := w.traced(t, map[string]string{"DATABASE_URL": directories()["SQLite"](t), "CUSTOMER_SOURCE": "database", "ADMIN_TOKEN": adminToken, "CUSTOMER_CACHE": "0s"})
	s.operate(t, adminToken, http.MethodPut, "/customers/alice", `{"customer":"`+alicesCustomer+`"}`)
	for _, user := range []string{"alice", "carol", "mallory"} {
		s.vend(t, user, readCustomer)
		s.vend(t, user, naming("22222222-2222-4222-8222-222222222222"))
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.PublicAddr()+"/nothing/"+user+"?user="+user, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("User-Agent", user)
		do(t, r)
	}
	s.end(t)
	text := collector.Text()
	for _, user := range []string{"alice", "carol", "mallory", alicesCustomer, "2222-2222"} {
		if strings.Contains(text, user) {
			t.Errorf("a span shows %s", user)
		}
	}
	keys := map[string]bool{}
	for _, key := range tracing.Keys() {
		keys[string(key)] = true
	}
	for _, span := range collector.Spans() {
		for key := range span.Attributes {
			if !keys[key] {
				t.Errorf("the span %s has the unlisted attribute %s", span.Name, key)
			}
		}
	}
	if len(collector.Named("GET none")) != 3 || len(collector.Named("POST /client-tokens")) != 6 {
		t.Errorf("spans are missing: %s", text)
	}
}

// TestHangingCollectorDelaysNoVendOrStop: the collector accepts connections and never
// answers.
