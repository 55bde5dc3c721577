package app_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// secretFile is a file that changes by a rename, as most tools write one.
type secretFile string

func newSecretFile(t *testing.T, content string) secretFile {
	t.Helper()
	return secretFile(writeFile(t, content))
}

func (f secretFile) put(t *testing.T, content string) {
	t.Helper()
	next := string(f) + ".next"
	if err := os.WriteFile(next, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, string(f)); err != nil {
		t.Fatal(err)
	}
}

// asks sends a request with an admin token, and returns the status.
func (s *service) asks(t *testing.T, token string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.AdminAddr()+"/customers", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	return do(t, r).status
}

// reloadFailures is how many attempts with a setting's file have failed.
func (s *service) reloadFailures(t *testing.T, setting string) float64 {
	t.Helper()
	var n float64
	for line := range strings.Lines(s.admin(t, "/metrics").body) {
		_, _ = fmt.Sscanf(line, `dropgate_secret_reload_failures_total{setting="`+setting+`"} %g`, &n)
	}
	return n
}

const (
	oldAdminToken = "the-first-very-secret-token-of-an-operator"
	newAdminToken = "the-second-very-secret-token-of-an-operator"
)

func TestChangedSecretFileIsUsedWithoutRestart(t *testing.T) {
	file := newSecretFile(t, oldAdminToken)
	s := newFixture(t).start(t, map[string]string{
		"CUSTOMER_SOURCE": "database", "DATABASE_URL": "sqlite:" + filepath.Join(t.TempDir(), "links.db"), "ADMIN_TOKEN_FILE": string(file),
	})
	if first, second := s.asks(t, oldAdminToken), s.asks(t, newAdminToken); first != http.StatusOK || second != http.StatusUnauthorized {
		t.Fatalf("before: %d and %d", first, second)
	}
	file.put(t, "admin:rw:"+oldAdminToken+"\nadmin-2:ro:"+newAdminToken+"\n")
	until(t, "the second token", func() bool { return s.asks(t, newAdminToken) == http.StatusOK })
	if status := s.asks(t, oldAdminToken); status != http.StatusOK {
		t.Errorf("the first token beside the second: %d", status)
	}
	file.put(t, newAdminToken)
	until(t, "the end of the first token", func() bool { return s.asks(t, oldAdminToken) == http.StatusUnauthorized })
	if status := s.asks(t, newAdminToken); status != http.StatusOK {
		t.Errorf("the second token alone: %d", status)
	}
	shows(t, s, oldAdminToken, newAdminToken)
}

// TestBadSecretFileKeepsTheOldValue: a start would refuse each of these files.
func TestBadSecretFileKeepsTheOldValue(t *testing.T) {
	good := "admin:rw:" + oldAdminToken
	file := newSecretFile(t, good)
	s := newFixture(t).start(t, map[string]string{
		"CUSTOMER_SOURCE": "database", "DATABASE_URL": "sqlite:" + filepath.Join(t.TempDir(), "links.db"), "ADMIN_TOKEN_FILE": string(file),
	})
	for content, want := range map[string]string{
		"":                 "is empty",
		"\n \n":            "is empty",
		"admin:rw:the-fir": "shorter than 32 characters",
		"hunter2\n" + good: "several lines, one of them shorter",
		"ann:rw:" + oldAdminToken[:20] + "," + good: "token 1 is shorter than 32 characters",
		`"` + oldAdminToken + `"`:                   "has quotes around it",
		oldAdminToken + "\x00":                      "NUL bytes",
		strings.Repeat("x", 64<<10+1):               "is larger than 65536 bytes",
	} {
		before := s.reloadFailures(t, "ADMIN_TOKEN")
		file.put(t, content)
		s.Reload()
		until(t, "a failure is counted", func() bool { return s.reloadFailures(t, "ADMIN_TOKEN") > before })
		until(t, fmt.Sprintf("a line for %.20q says %q", content, want), func() bool { return s.saidInError(t, "ADMIN_TOKEN", want) })
		if status := s.asks(t, oldAdminToken); status != http.StatusOK {
			t.Errorf("%.20q: the old token gets %d", content, status)
		}
	}
	file.put(t, good)
	s.Reload()
	until(t, "the end of the fault is logged", func() bool { return strings.Contains(s.logs.String(), "the value in the secret's file is in force") })
	shows(t, s, oldAdminToken, oldAdminToken[:20], "hunter2")
}

// saidInError reports whether an error line about a setting contains some words.
func (s *service) saidInError(t *testing.T, setting, words string) bool {
	t.Helper()
	for _, line := range s.logs.lines(t, "") {
		if text, _ := line["error"].(string); line["level"] == "error" && line["setting"] == setting && strings.Contains(text, words) {
			return true
		}
	}
	return false
}

func TestSecretDwollaRefusesKeepsTheOldOne(t *testing.T) {
	file := newSecretFile(t, "the-very-secret")
	s := newFixture(t).start(t, map[string]string{"DWOLLA_CLIENT_SECRET": "", "DWOLLA_CLIENT_SECRET_FILE": string(file)})
	until(t, "the first token", func() bool { return s.vend(t, "alice", naming(alicesCustomer)).status == http.StatusOK })
	file.put(t, "the-very-sec") // half-written
	s.Reload()
	until(t, "an error line", func() bool { return s.saidInError(t, "DWOLLA_CLIENT_SECRET", "does not work") })
	answers(t, "with the old secret", s.vend(t, "alice", naming(alicesCustomer)), http.StatusOK, "")
	if s.reloadFailures(t, "DWOLLA_CLIENT_SECRET") == 0 {
		t.Error("no failure is counted")
	}
}

func TestDatabaseElsewhereNeedsARestart(t *testing.T) {
	url := "postgres://dropgate:the-very-secret@127.0.0.1:1/links?sslmode=disable"
	file := newSecretFile(t, url)
	s := newFixture(t).start(t, map[string]string{"CUSTOMER_SOURCE": "database", "DATABASE_URL_FILE": string(file)})
	file.put(t, strings.Replace(url, "/links", "/others", 1))
	s.Reload()
	until(t, "an error line", func() bool {
		return s.saidInError(t, "DATABASE_URL", "only the user and the password can change without a restart")
	})
	shows(t, s, "the-very-secret")
}
