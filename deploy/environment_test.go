package deploy_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestEveryVariableIsASetting: the server ignores names that it does not know.
func TestEveryVariableIsASetting(t *testing.T) {
	known := settingNames(t)
	used := map[string]map[string]string{
		"kubernetes/base":                render(t, "kubernetes/base").environment(),
		"kubernetes/overlays/sandbox":    render(t, "kubernetes/overlays/sandbox").environment(),
		"kubernetes/overlays/production": render(t, "kubernetes/overlays/production").environment(),
		"kubernetes/components/sqlite":   renderWith(t, "sqlite").environment(),
	}
	for _, set := range composeSets() {
		used["docker-compose.yml --profile "+set] = environmentOf(compose(t, set, goodEnv()).Services["server"])
	}
	for where, environment := range used {
		for name := range environment {
			if !isKnown(known, name) {
				t.Errorf("%s sets %s, which is not in docs/configuration.md", where, name)
			}
		}
	}
}

func isKnown(known []string, name string) bool {
	if name == "GOMEMLIMIT" { // read by the Go runtime
		return true
	}
	if strings.HasPrefix(name, "OTEL_") {
		return slices.Contains(known, "OTEL_*")
	}
	return slices.Contains(known, name) || slices.Contains(known, strings.TrimSuffix(name, "_FILE"))
}

// settingNames returns the settings in the tables of docs/configuration.md.
func settingNames(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile("`([A-Z][A-Z0-9]*_[A-Z0-9_]*\\*?)`")
	var names []string
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 || strings.TrimSpace(cells[0]) != "" {
			continue
		}
		for _, match := range name.FindAllStringSubmatch(cells[1], -1) {
			names = append(names, match[1])
		}
	}
	if len(names) == 0 {
		t.Fatal("docs/configuration.md names no setting")
	}
	return names
}

// settingRow is a row of docs/configuration.md.
type settingRow struct {
	name     string
	standard string // the default
	secret   bool   // a file may hold the value
}

// settingRows returns the rows of docs/configuration.md.
func settingRows(t *testing.T) []settingRow {
	t.Helper()
	text, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows []settingRow
	for _, row := range regexp.MustCompile("(?m)^\\| `([A-Z_]+)` \\| (.*?) \\| (.*) \\|$").FindAllStringSubmatch(string(text), -1) {
		rows = append(rows, settingRow{name: row[1], standard: row[2], secret: strings.Contains(row[3], "`"+row[1]+"_FILE`")})
	}
	if len(rows) < 40 {
		t.Fatalf("only %d settings", len(rows))
	}
	return rows
}

// requiredNames are the variables that bearer mode needs.
func requiredNames() []string {
	return []string{
		"DWOLLA_ENVIRONMENT", "DWOLLA_CLIENT_ID", "DWOLLA_CLIENT_SECRET_FILE",
		"ALLOWED_ACTIONS", "AUTH_MODES", "AUTH_BEARER_ISSUER", "AUTH_BEARER_AUDIENCE",
	}
}

// holdsSecret reports whether a value must stay out of manifests: secrets, and URLs
// with a password.
func holdsSecret(name string) bool {
	return regexp.MustCompile(`(SECRET|TOKEN|KEYS)$|^(DATABASE|REDIS)_URL$|^OTEL_EXPORTER_OTLP_HEADERS$`).MatchString(name)
}

// shutdown returns SHUTDOWN_DELAY and SHUTDOWN_TIMEOUT, or their defaults.
func shutdown(t *testing.T, environment map[string]string) (delay, timeout time.Duration) {
	t.Helper()
	parse := func(name string, otherwise time.Duration) time.Duration {
		value := environment[name]
		if value == "" {
			return otherwise
		}
		d, err := time.ParseDuration(value)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return d
	}
	return parse("SHUTDOWN_DELAY", 5*time.Second), parse("SHUTDOWN_TIMEOUT", 20*time.Second)
}
