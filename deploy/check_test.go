package deploy_test

import (
	"crypto/rand"
	"encoding/base64"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The server itself is asked whether it would start with these settings.
func TestServerAcceptsTheSettings(t *testing.T) {
	server := filepath.Join(t.TempDir(), "server")
	build := exec.CommandContext(t.Context(), "go", "build", "-C", "..", "-o", server, "./cmd/server")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the server: %v\n%s", err, out)
	}
	sqlite := tree(t)
	writeFile(t, sqlite, "kubernetes/overlays/check/kustomization.yaml", "resources: [../sandbox]\ncomponents: [../../components/sqlite]\n")
	environments := map[string]map[string]string{
		"kubernetes/overlays/sandbox":    render(t, "kubernetes/overlays/sandbox").environment(),
		"kubernetes/overlays/production": render(t, "kubernetes/overlays/production").environment(),
		"kubernetes/components/sqlite":   renderFrom(t, sqlite, "kubernetes/overlays/check").environment(),
	}
	for name, v := range valueSets(t) {
		environments["helm/dropgate/ci/"+name] = withoutCertificates(renderChart(t, v).environment())
	}
	for _, set := range composeSets() {
		environments["docker-compose.yml --profile "+set] = environmentOf(compose(t, set, goodEnv()).Services["server"])
	}
	for where, environment := range environments {
		check := exec.CommandContext(t.Context(), server, "-check")
		check.Env = []string{}
		for name, value := range withSecretFiles(t, environment) {
			check.Env = append(check.Env, name+"="+value)
		}
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("%s: server -check: %v\n%s", where, err, out)
		}
	}
}

// withoutCertificates removes the settings of certificates, which exist in the cluster only.
func withoutCertificates(environment map[string]string) map[string]string {
	maps.DeleteFunc(environment, func(_, path string) bool {
		return strings.HasPrefix(path, "/run/tls/") || path == "/run/ca"
	})
	return environment
}

// withSecretFiles replaces the paths of secrets, which exist in the container only, by
// files of this machine.
func withSecretFiles(t *testing.T, environment map[string]string) map[string]string {
	t.Helper()
	contents := map[string]string{
		"REDIS_URL_FILE":    "rediss://dropgate:password@redis.internal:6379/0",
		"DATABASE_URL_FILE": "postgres://dropgate:password@db.internal:5432/dropgate?sslmode=verify-full",
	}
	folder := t.TempDir()
	environment = maps.Clone(environment)
	for name, path := range environment {
		if !strings.HasSuffix(name, "_FILE") || !strings.HasPrefix(path, "/run/secrets/") {
			continue
		}
		content, ok := contents[name]
		if !ok {
			key := make([]byte, 32)
			_, _ = rand.Read(key) // never fails
			content = base64.StdEncoding.EncodeToString(key)
		}
		environment[name] = filepath.Join(folder, name)
		if err := os.WriteFile(environment[name], []byte(content+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return environment
}
