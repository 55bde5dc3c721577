package handler_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/handler"
)

// ask gets a page of the admin listener.
func ask(t *testing.T, c handler.AdminConfig, path string) (status int, answer map[string]any) {
	t.Helper()
	got := httptest.NewRecorder()
	handler.NewAdmin(c).ServeHTTP(got, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost"+path, http.NoBody))
	if err := json.Unmarshal(got.Body.Bytes(), &answer); err != nil {
		t.Errorf("%s: %v: %s", path, err, got.Body)
	}
	return got.Code, answer
}

func TestAdminReportsLivenessReadinessAndVersion(t *testing.T) {
	dwolla := []handler.Missing{{What: "dwolla", Reason: "status 503"}}
	told := []any{map[string]any{"what": "dwolla", "reason": "status 503"}}
	for _, row := range []struct {
		path   string
		ready  handler.Readiness
		status int
		answer map[string]any
	}{
		{"/livez", handler.Readiness{}, 200, map[string]any{"status": "live"}},
		{"/livez", handler.Readiness{Reason: "draining"}, 200, map[string]any{"status": "live"}},
		{"/readyz", handler.Readiness{}, 200, map[string]any{"status": "ready"}},
		{"/readyz", handler.Readiness{Missing: dwolla}, 200, map[string]any{"status": "ready", "missing": told}},
		{"/readyz", handler.Readiness{Reason: "draining"}, 503, map[string]any{"status": "not ready", "reason": "draining"}},
		{"/readyz", handler.Readiness{Reason: "draining", Missing: dwolla}, 503, map[string]any{"status": "not ready", "reason": "draining", "missing": told}},
		{"/readyz", handler.Readiness{Degraded: []string{"dwolla: why"}}, 200, map[string]any{"status": "ready", "degraded": []any{"dwolla: why"}}},
		{"/version", handler.Readiness{Reason: "draining"}, 200, map[string]any{"version": "1.2.3", "commit": "abc"}},
	} {
		ready := func(context.Context) handler.Readiness { return row.ready }
		status, answer := ask(t, handler.AdminConfig{Version: "1.2.3", Commit: "abc", Ready: ready, Gatherer: prometheus.NewRegistry()}, row.path)
		if status != row.status {
			t.Errorf("%s: answer %d, want %d", row.path, status, row.status)
		}
		if diff := cmp.Diff(row.answer, answer); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.path, diff)
		}
	}
}

func TestAdminBoundsTheReadinessChecks(t *testing.T) {
	bounded := func(ctx context.Context) handler.Readiness {
		if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > 2*time.Second {
			return handler.Readiness{Reason: "without a deadline"}
		}
		return handler.Readiness{}
	}
	if status, answer := ask(t, handler.AdminConfig{Ready: bounded, Gatherer: prometheus.NewRegistry()}, "/readyz"); status != http.StatusOK {
		t.Errorf("answer %d %v", status, answer)
	}
}

func TestAllowedOriginsMustBeOrigins(t *testing.T) {
	for _, origin := range []string{"*", "app.example.com", "https://app.example.com/path", "https://app.example.com?x", "null", "https://"} {
		if _, err := handler.New(handler.Config{AllowedOrigins: []string{origin}, Now: time.Now, Registerer: prometheus.NewRegistry()}); err == nil {
			t.Errorf("%q is taken for an origin", origin)
		}
	}
}

func TestHeadWorksOnTheAdminListener(t *testing.T) {
	ready := func(context.Context) handler.Readiness { return handler.Readiness{} }
	server := httptest.NewServer(handler.NewAdmin(handler.AdminConfig{Version: "1.2.3", Ready: ready, Gatherer: prometheus.NewRegistry()}))
	defer server.Close()
	for _, path := range []string{"/livez", "/readyz", "/version", "/metrics", "/nothing"} {
		statuses := map[string]int{}
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := server.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			statuses[method] = resp.StatusCode
		}
		if statuses[http.MethodHead] != statuses[http.MethodGet] {
			t.Errorf("%s: %v", path, statuses)
		}
	}
}
