package main

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"dropgate/internal/app"
)

// settings are a configuration that listens on no fixed port and needs nothing
// to start.
func settings(more ...string) []string {
	return append([]string{
		"DWOLLA_ENVIRONMENT=sandbox", "DWOLLA_CLIENT_ID=key", "DWOLLA_CLIENT_SECRET=very-secret", "DWOLLA_BASE_URL=http://127.0.0.1:1",
		"ALLOWED_ACTIONS=customer.read", "AUTH_MODES=bearer", "AUTH_BEARER_ISSUER=http://127.0.0.1:1",
		"AUTH_BEARER_AUDIENCE=dropgate", "CUSTOMER_SOURCE=claim",
		"HTTP_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0", "SHUTDOWN_DELAY=0s",
	}, more...)
}

func TestCommandLine(t *testing.T) {
	for name, c := range map[string]struct {
		args, environ  []string
		code           int
		stdout, stderr string
	}{
		"help":                     {[]string{"-help"}, nil, 0, "DWOLLA_CLIENT_SECRET_FILE", ""},
		"version":                  {[]string{"-version"}, nil, 0, "devel\n", ""},
		"check of the good":        {[]string{"-check"}, settings(), 0, "the configuration is good\n", ""},
		"check of the bad":         {[]string{"-check"}, settings("LOG_FORMAT=x"), 2, "", "LOG_FORMAT: "},
		"all faults":               {nil, nil, 2, "", "AUTH_MODES: is required"},
		"unknown flag":             {[]string{"-port=1"}, settings(), 2, "", "usage: server"},
		"argument":                 {[]string{"serve"}, settings(), 2, "", "usage: server"},
		"no secret is shown":       {nil, settings("LOG_FORMAT=x"), 2, "", "LOG_FORMAT"},
		"nothing to migrate":       {[]string{"migrate"}, settings(), 0, "nothing to migrate", ""},
		"bad migrate":              {[]string{"migrate"}, settings("DATABASE_MIGRATE=x"), 2, "", "DATABASE_MIGRATE: "},
		"doctor has no arguments":  {[]string{"doctor", "now"}, settings(), 2, "", "usage: server doctor"},
		"bad settings of doctor":   {[]string{"doctor"}, settings("DATABASE_MIGRATE=x"), 2, "", "DATABASE_MIGRATE: "},
		"doctor without Dwolla":    {[]string{"doctor"}, settings("DWOLLA_BASE_URL=http://127.0.0.1:1"), 1, "connection refused", "failed checks: "},
		"migrate has no arguments": {[]string{"migrate", "now"}, settings(), 2, "", "usage: server"},
		"sessions of nobody":       {[]string{"sessions", "list"}, nil, 2, "", "usage: server sessions list"},
		"both a user and an id":    {[]string{"sessions", "end", "-user", "ann", "-id", "x"}, nil, 2, "", "usage: server sessions list"},
		"sessions without a token": {[]string{"sessions", "list", "-user", "ann"}, []string{"ADMIN_ADDR=127.0.0.1:1"}, 2, "", "ADMIN_TOKEN: is required"},
		"sessions of no service":   {[]string{"sessions", "list", "-user", "ann"}, []string{"ADMIN_ADDR=127.0.0.1:1", "ADMIN_TOKEN=the-very-secret-of-an-operator-of-it"}, 1, "", "the admin listener at 127.0.0.1:1 does not answer"},
		"cannot listen":            {nil, settings("HTTP_ADDR=192.0.2.1:1"), 1, "", "HTTP_ADDR: "},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), t.Context(), c.args, c.environ, app.Streams{Out: &stdout, Err: &stderr})
			if code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			holds(t, "stdout", stdout.String(), c.stdout)
			holds(t, "stderr", stderr.String(), c.stderr)
			if strings.Contains(stdout.String()+stderr.String(), "very-secret") {
				t.Error("a secret was printed")
			}
		})
	}
}

// TestCustomersCommandExitCodes: 1 may be cured by running it again,
// or by mending a file; 2 never.
func TestCustomersCommandExitCodes(t *testing.T) {
	const customer = "11111111-1111-4111-8111-111111111111"
	environ := []string{"DWOLLA_ENVIRONMENT=sandbox", "DATABASE_URL=sqlite:" + filepath.Join(t.TempDir(), "links.db")}
	for _, c := range []struct {
		line, stdin    string
		code           int
		stdout, stderr string
	}{
		{"import -", "ann," + customer + "\n", exitOK, "", "1 lines: 1 linked, 0 there already, 0 bad\n"},
		{"import -", "bob," + customer + "\n", exitFault, "", "1 bad lines\n"},
		{"import no-such.csv", "", exitFault, "", "no-such.csv"},
		{"show ann", "", exitOK, customer, ""},
		{"show bob", "", exitFault, "", "no Customer is linked to this user\n"},
		{"link bob " + customer, "", exitFault, "", "linked to another user\n"},
		{"export", "", exitOK, "user,customer\nann," + customer + "\n", ""},
		{"unlink ann", "", exitOK, "", ""},
		{"", "", exitConfig, "", "usage: server customers import"},
		{"show", "", exitConfig, "", "usage: server customers import"},
	} {
		var stdout, stderr bytes.Buffer
		std := app.Streams{In: strings.NewReader(c.stdin), Out: &stdout, Err: &stderr}
		if code := run(t.Context(), t.Context(), append([]string{"customers"}, strings.Fields(c.line)...), environ, std); code != c.code {
			t.Errorf("%q: exit code %d, want %d", c.line, code, c.code)
		}
		holds(t, c.line+": stdout", stdout.String(), c.stdout)
		holds(t, c.line+": stderr", stderr.String(), c.stderr)
	}
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), t.Context(), []string{"customers", "export"}, nil, app.Streams{Out: &stdout, Err: &stderr}); code != exitConfig {
		t.Errorf("without settings: exit code %d", code)
	}
	holds(t, "stderr", stderr.String(), "DWOLLA_ENVIRONMENT: ")
	holds(t, "stdout", stdout.String(), "")
}

// TestServerContainsNoHTMLTemplate: it calls methods by name. The linker would keep every
// method of every library, and the image would grow beyond 30 MB.
func TestServerContainsNoHTMLTemplate(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains("\n"+string(out), "\nhtml/template\n") {
		t.Error("the server contains html/template")
	}
}

// holds checks that output contains want, or is empty if want is.
func holds(t *testing.T, name, output, want string) {
	t.Helper()
	if !strings.Contains(output, want) || want == "" && output != "" {
		t.Errorf("%s %q, want %q", name, output, want)
	}
}

func TestStopSignalEndsWithExitCodeZero(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // as SIGTERM does
	var stdout, stderr bytes.Buffer
	if code := run(ctx, t.Context(), nil, settings(), app.Streams{Out: &stdout, Err: &stderr}); code != exitOK {
		t.Errorf("exit code %d: %s", code, stderr.String())
	}
	if !strings.Contains(stdout.String(), `"message":"stopped"`) {
		t.Errorf("log %s", stdout.String())
	}
}

// TestServerContainsNoTestDouble: the emulator hands out tokens to anybody, and the
// demo identity provider signs in everybody.
func TestServerContainsNoTestDouble(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := string(out)
	if !strings.Contains(packages, "dropgate/internal/dwolla\n") {
		t.Fatalf("not the server's packages: %s", packages)
	}
	for _, double := range []string{"dropgate/internal/dwolla/emulator", "dropgate/internal/dwolla/dwollatest", "dropgate/internal/auth/provider", "dropgate/internal/auth/oidctest", "dropgate/internal/tcpproxy", "net/http/httptest", "testing"} {
		for path := range strings.Lines(packages) {
			if strings.TrimSpace(path) == double {
				t.Errorf("the server contains %s", double)
			}
		}
	}
}
