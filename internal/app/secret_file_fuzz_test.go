package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dropgate/internal/app"
)

// FuzzSecretFile compares a file with a variable of the same content. No fault
// shows the content.
func FuzzSecretFile(f *testing.F) {
	for _, content := range []string{
		"", "\n", "\r\n\n", "a-secret-of-the-client", "a-secret-of-the-client\n", "a-secret-of-the-client\r\n", " a-secret-of-the-client ", "short", "\ufeffa-secret-of-the-client", "two-lines-of\na-secret\n", "\"a-secret-in-quotes-of-a-file\"", "\xff\xfea\x00-\x00s\x00", "a-secret-and-a-no-break-space\u00a0",
		"a-secret-of-the-\x00-client", "a-secret-\xff-of-the-client", "redis://user:the-password-of-redis@127.0.0.1:6379/0", "redis://:the-password-of-redis@[::1", "rediss://x:%zz@the-host-of-redis",
		"postgres://user:the-password-of-postgres@127.0.0.1:5432/x", "sqlite:", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=,c2hvcnQ", strings.Repeat("x", 64<<10), strings.Repeat("x", 64<<10+1),
	} {
		for setting := range secretSettings() {
			f.Add(uint8(setting), []byte(content))
		}
	}
	file := filepath.Join(f.TempDir(), "secret")
	f.Fuzz(func(t *testing.T, setting uint8, content []byte) {
		name := secretSettings()[int(setting)%len(secretSettings())]
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		checkSecretFile(t, name, file, string(content))
	})
}

// checkSecretFile loads a configuration with a file of this content.
func checkSecretFile(t *testing.T, name, file, content string) {
	t.Helper()
	fromFile, faults := loadSecret(name+"_FILE", file)
	value := trimmed(content)
	if value == "" || len(content) > 64<<10 {
		if !strings.Contains(faults, name+"_FILE: "+file) {
			t.Errorf("%d bytes for %s: %s", len(content), name, faults)
		}
	} else if want, wantFaults := loadSecret(name, content); strings.ReplaceAll(faults, name+"_FILE: "+file+" ", name+": ") != wantFaults || fromFile.DatabaseURL.Reveal() != want.DatabaseURL.Reveal() ||
		fromFile.OIDCSecret.Reveal() != want.OIDCSecret.Reveal() {
		t.Errorf("%s from the file %q: %s; from the environment: %s", name, content, faults, wantFaults)
	}
	for piece := range strings.FieldsFuncSeq(value, func(r rune) bool { return strings.ContainsRune(" ,:/@?#=&%", r) }) {
		if len(piece) >= 16 && strings.Contains(strings.ReplaceAll(faults, file, ""), piece) {
			t.Errorf("%s=%q: the faults say %s", name, content, faults)
		}
	}
}

// trimmed removes white space and byte order marks, as the service does.
func trimmed(value string) string {
	for {
		shorter := strings.TrimPrefix(strings.Trim(value, " \t\r\n\v\f"), "\ufeff")
		if shorter == value {
			return value
		}
		value = shorter
	}
}

// secretSettings are the secrets with rules about their content.
func secretSettings() []string {
	return []string{"AUTH_OIDC_CLIENT_SECRET", "REDIS_URL", "DATABASE_URL", "ENROLLMENT_KEYS", "ADMIN_TOKEN", "DWOLLA_WEBHOOK_SECRET"}
}

// loadSecret loads a configuration that uses every secret, with one variable
// changed.
func loadSecret(name, value string) (config app.Config, faults string) {
	vars := oidc(map[string]string{
		"DWOLLA_ENVIRONMENT": "sandbox", "DWOLLA_CLIENT_ID": "the-key", "DWOLLA_CLIENT_SECRET": "the-very-secret", "ALLOWED_ACTIONS": "customer.read",
		"CUSTOMER_SOURCE": "database",
	})
	delete(vars, strings.TrimSuffix(name, "_FILE"))
	vars[name] = value
	config, err := app.Load(environ(vars))
	if err != nil {
		return config, err.Error()
	}
	return config, ""
}
