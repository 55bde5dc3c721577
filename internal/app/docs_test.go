package app_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"dropgate/internal/app"
)

// TestDocumentedSignInConfigurationsLoad loads the example of each mode in
// docs/authentication.md.
func TestDocumentedSignInConfigurationsLoad(t *testing.T) {
	text, err := os.ReadFile("../../docs/authentication.md")
	if err != nil {
		t.Fatal(err)
	}
	modes := map[string]bool{}
	for _, block := range regexp.MustCompile("(?s)```sh\n(AUTH_MODES=.*?)```").FindAllStringSubmatch(string(text), -1) {
		settings := map[string]string{
			"DWOLLA_ENVIRONMENT": "production", "DWOLLA_CLIENT_ID": "the-key", "DWOLLA_CLIENT_SECRET": "the-very-secret",
			"ALLOWED_ACTIONS": "customer.read", "CUSTOMER_SOURCE": "claim",
		}
		shown := map[string]string{}
		for _, setting := range regexp.MustCompile(`(?m)^([A-Z_]+)=(\S+)`).FindAllStringSubmatch(block[1], -1) {
			shown[setting[1]] = setting[2]
		}
		modes[shown["AUTH_MODES"]] = true
		for name, value := range shown {
			settings[name] = onThisMachine(t, name, value)
		}
		if _, err := app.Load(environ(settings)); err != nil {
			t.Errorf("%s: %v", shown["AUTH_MODES"], err)
		}
	}
	if want := map[string]bool{"bearer": true, "oidc": true, "forward": true, "proxy": true}; !maps.Equal(modes, want) {
		t.Errorf("configurations for %v, want one for each mode", modes)
	}
}

// TestDocumentedDirectoryConfigurationsLoad loads the examples of
// docs/directory.md.
func TestDocumentedDirectoryConfigurationsLoad(t *testing.T) {
	text, err := os.ReadFile("../../docs/directory.md")
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string]bool{}
	for _, block := range regexp.MustCompile("(?s)```sh\n(CUSTOMER_SOURCE=.*?)```").FindAllStringSubmatch(string(text), -1) {
		settings := good()
		maps.Copy(settings, map[string]string{"DWOLLA_ENVIRONMENT": "production"})
		for _, setting := range regexp.MustCompile(`(?m)^([A-Z_]+)=(?:'([^']+)'|(\S+))`).FindAllStringSubmatch(block[1], -1) {
			settings[setting[1]] = onThisMachine(t, setting[1], setting[2]+setting[3])
		}
		sources[settings["CUSTOMER_SOURCE"]] = true
		if _, err := app.Load(environ(settings)); err != nil {
			t.Errorf("%s: %v", settings["CUSTOMER_SOURCE"], err)
		}
	}
	if want := map[string]bool{"database": true, "query": true, "lookup": true}; !maps.Equal(sources, want) {
		t.Errorf("configurations for %v, want %v", sources, want)
	}
}

// onThisMachine replaces the file of a secret by an existing one.
func onThisMachine(t *testing.T, name, value string) string {
	t.Helper()
	if !strings.HasSuffix(name, "_FILE") {
		return value
	}
	secret := "the-very-secret-of-the-" + name
	switch name {
	case "REDIS_URL_FILE":
		secret = "rediss://user:the-very-secret@redis.internal:6379/0"
	case "DATABASE_URL_FILE":
		secret = "postgres://user:the-very-secret@db.internal:5432/dropgate?sslmode=verify-full"
	}
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
