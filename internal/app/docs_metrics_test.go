package app_test

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// exported returns the row of docs/metrics.md for each metric that the service exports
// before its first request.
func exported(t *testing.T, metrics string) map[string]string {
	t.Helper()
	type metric struct {
		help, kind string
		labels     map[string]bool
	}
	found := map[string]*metric{}
	var current *metric
	for line := range strings.Lines(metrics) {
		line = strings.TrimSpace(line)
		if name, help, is := strings.Cut(strings.TrimPrefix(line, "# HELP "), " "); is && strings.HasPrefix(line, "# HELP ") {
			current = &metric{help: help, labels: map[string]bool{}}
			found[name] = current
			continue
		}
		if strings.HasPrefix(line, "# TYPE ") {
			current.kind = line[strings.LastIndex(line, " ")+1:]
			continue
		}
		for _, label := range regexp.MustCompile(`[{,]([a-z_]+)="`).FindAllStringSubmatch(line, -1) {
			if label[1] != "le" {
				current.labels[label[1]] = true
			}
		}
	}
	rows := map[string]string{}
	for name, m := range found {
		if strings.HasPrefix(name, "dropgate_") || strings.HasPrefix(name, "go_sql_") {
			labels := strings.Join(slices.Sorted(maps.Keys(m.labels)), ", ")
			rows[name] = fmt.Sprintf("| `%s` | %s | %s | %s |", name, m.kind, labels, strings.ReplaceAll(m.help, `\"`, `"`))
		}
	}
	return rows
}

// The list in docs/metrics.md and the exporter agree on names, types, labels and texts.
func TestDocumentedMetricsAreTheExportedOnes(t *testing.T) {
	w := newFixture(t)
	folder := t.TempDir()
	cert, key := issue(t, "first", time.Hour).pairIn(t, folder)
	file := filepath.Join(folder, "webhook-secret")
	if err := os.WriteFile(file, []byte(webhookSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	rows := exported(t, w.start(t, oidc(map[string]string{ // sessions in memory
		"AUTH_OIDC_ISSUER": w.settings["AUTH_BEARER_ISSUER"],
	})).admin(t, "/metrics").body)
	s := w.start(t, oidc(map[string]string{
		"AUTH_OIDC_ISSUER": w.settings["AUTH_BEARER_ISSUER"], "SESSION_STORE": "redis", "REDIS_URL": redisURL(t),
		"CUSTOMER_SOURCE": "database", "DATABASE_URL": postgresURL(t), "DWOLLA_WEBHOOK_SECRET_FILE": file,
		"ENROLLMENT_KEYS": enrollmentKey, "TLS_CERT_FILE": cert, "TLS_KEY_FILE": key,
	}))
	until(t, "readiness", func() bool { return s.admin(t, "/readyz").status == http.StatusOK })
	maps.Copy(rows, exported(t, s.admin(t, "/metrics").body))
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		want = append(want, rows[name])
	}
	for line := range strings.Lines(string(page)) {
		if strings.HasPrefix(line, "| `dropgate_") || strings.HasPrefix(line, "| `go_sql_") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/metrics.md (-exported +documented):\n%s\nThe rows are:\n%s", diff, strings.Join(want, "\n"))
	}
}

func TestMetricsTellWhichDependencyIsMissing(t *testing.T) {
	w := newFixture(t)
	r := newOwnRedis(t)
	s := w.start(t, oidc(map[string]string{
		"AUTH_OIDC_ISSUER": w.settings["AUTH_BEARER_ISSUER"], "SESSION_STORE": "redis", "REDIS_URL": r.url,
	}))
	up := func(dependency, want string) func() bool {
		return func() bool {
			return strings.Contains(s.admin(t, "/metrics").body, "dropgate_dependency_up{dependency=\""+dependency+"\"} "+want+"\n")
		}
	}
	for _, dependency := range []string{"audit", "dwolla", "identity_provider", "identity_provider_keys", "rate_limits", "session_store"} {
		until(t, dependency+" up", up(dependency, "1"))
	}
	_ = r.Shutdown(t.Context()).Err() // it has no answer
	until(t, "session store down", up("session_store", "0"))
	for _, dependency := range []string{"audit", "dwolla", "identity_provider"} {
		if !up(dependency, "1")() {
			t.Errorf("%s is down, too", dependency)
		}
	}
	if metrics := s.admin(t, "/metrics").body; !strings.Contains(metrics, `dropgate_redis_pool_connections{state="used"} 0`) {
		t.Error("connections to a Redis that is gone are in use")
	}
}
