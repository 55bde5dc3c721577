package handler_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/handler"
)

// ask gets a page of the admin listener.
func ask(t *testing.T, c handler.AdminConfig, path string) (status int, answer map[string]string) {
	t.Helper()
	got := httptest.NewRecorder()
	handler.NewAdmin(c).ServeHTTP(got, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
	if err := json.Unmarshal(got.Body.Bytes(), &answer); err != nil {
		t.Errorf("%s: %v: %s", path, err, got.Body)
	}
	return got.Code, answer
}

func TestAdminTellsHowTheReplicaIs(t *testing.T) {
	ready := func(context.Context) error { return nil }
	draining := func(context.Context) error { return errors.New("draining") }
	for _, row := range []struct {
		path   string
		ready  func(context.Context) error
		status int
		answer map[string]string
	}{
		{"/livez", ready, 200, map[string]string{"status": "live"}},
		{"/livez", draining, 200, map[string]string{"status": "live"}},
		{"/readyz", ready, 200, map[string]string{"status": "ready"}},
		{"/readyz", draining, 503, map[string]string{"status": "not ready", "reason": "draining"}},
		{"/version", draining, 200, map[string]string{"version": "1.2.3"}},
	} {
		status, answer := ask(t, handler.AdminConfig{Version: "1.2.3", Ready: row.ready, Gatherer: prometheus.NewRegistry()}, row.path)
		if status != row.status {
			t.Errorf("%s: answer %d, want %d", row.path, status, row.status)
		}
		if diff := cmp.Diff(row.answer, answer); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.path, diff)
		}
	}
}

func TestAdminBoundsTheReadinessChecks(t *testing.T) {
	bounded := func(ctx context.Context) error {
		if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > 2*time.Second {
			return errors.New("without a deadline")
		}
		return nil
	}
	if status, answer := ask(t, handler.AdminConfig{Ready: bounded, Gatherer: prometheus.NewRegistry()}, "/readyz"); status != http.StatusOK {
		t.Errorf("answer %d %v", status, answer)
	}
}

func TestAllowedOriginsMustBeOrigins(t *testing.T) {
	for _, origin := range []string{"*", "app.example.com", "https://app.example.com/path", "https://app.example.com?x", "null", "https://"} {
		if _, err := handler.New(handler.Config{AllowedOrigins: []string{origin}, Registerer: prometheus.NewRegistry()}); err == nil {
			t.Errorf("%q is taken for an origin", origin)
		}
	}
}
