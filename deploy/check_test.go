package deploy_test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
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
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for where, environment := range map[string]map[string]string{
		"docker-compose.yml":          environmentOf(compose(t).Services["server"]),
		"kubernetes/overlays/example": render(t, "kubernetes/overlays/example").environment(),
	} {
		environment = maps.Clone(environment)
		environment["DWOLLA_CLIENT_SECRET_FILE"] = secret // the only path that exists here
		check := exec.CommandContext(t.Context(), server, "-check")
		check.Env = []string{}
		for name, value := range environment {
			check.Env = append(check.Env, name+"="+value)
		}
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("%s: server -check: %v\n%s", where, err, out)
		}
	}
}
