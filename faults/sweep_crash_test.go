//go:build faults

package faults_test

import (
	"maps"
	"net/url"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"dropgate/internal/tcpproxy"
)

// TestCrashDumpsHoldNoSecret: SIGQUIT and SIGABRT dump every goroutine of a busy
// server, like an unrecovered panic.
func TestCrashDumpsHoldNoSecret(t *testing.T) {
	t.Parallel()
	for name, signal := range map[string]syscall.Signal{"SIGQUIT": syscall.SIGQUIT, "SIGABRT": syscall.SIGABRT} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.withPostgres(t)
			w.requirePassword(t)
			settings := directorySettings(w)
			maps.Copy(settings, map[string]string{"GOTRACEBACK": "system"})
			p := w.start(t, settings)
			callers := w.bearers(p, 8)
			w.warmUp(t, callers[0])
			w.toDwolla.Fail(tcpproxy.Fault{Delay: 300 * time.Millisecond}) // keeps some calls in progress
			l := startLoad(t, callers)
			waitFor(t, "an answer for each caller", 10*time.Second, func() bool { return countCallers(l.soFar()) == len(callers) })
			if err := p.cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			<-p.exited
			l.stop()
			if !strings.Contains(p.stderr.String(), "goroutine 1 ") {
				t.Error("stderr has no goroutine dump")
			}
			w.secrets.requireUsed(t, []string{"DWOLLA_CLIENT_SECRET", "the password of DATABASE_URL", "an access token", "a client token"})
		})
	}
}

// TestConfigurationErrorsHoldNoSecret runs commands with bad configurations, and secrets
// in them.
func TestConfigurationErrorsHoldNoSecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	maps.Copy(w.settings, directorySettings(w))
	w.settings["CUSTOMER_SOURCE"] = "database"
	password := url.QueryEscape(w.secret("a password in a URL"))
	for name, changes := range map[string]map[string]string{
		"none":             {"DATABASE_URL": "sqlite:links.db"},
		"DATABASE_URL":     {"DATABASE_URL": "postgres://user:" + password + "@host:port/x"},
		"another one":      {"DATABASE_URL": "mysql://user:" + password + "@127.0.0.1/x"},
		"REDIS_URL":        {"AUTH_MODES": "oidc", "SESSION_STORE": "redis", "REDIS_URL": "https://:" + password + "@host"},
		"ENROLLMENT_KEYS":  {"ENROLLMENT_KEYS": w.settings["ENROLLMENT_KEYS"] + "!"},
		"ADMIN_TOKEN":      {"ADMIN_TOKEN": w.secret("a short token")[:30]},
		"many":             {"DWOLLA_ENVIRONMENT": "x", "AUTH_MODES": "x", "DATABASE_URL": password, "DWOLLA_WEBHOOK_SECRET": "short-secret"},
		"DWOLLA_BASE_URL":  {"DWOLLA_BASE_URL": "http://user:" + password + "@127.0.0.1:1"},
		"AUTH_FORWARD_URL": {"AUTH_MODES": "forward", "AUTH_FORWARD_URL": "http://user:" + password + "@127.0.0.1:1/\x7f"},
	} {
		for _, args := range [][]string{{"-check"}, {"customers", "show", "alice"}} {
			settings := maps.Clone(w.settings)
			maps.Copy(settings, changes)
			command := exec.CommandContext(t.Context(), binary.path, args...)
			command.Dir = t.TempDir()
			for name, value := range settings {
				command.Env = append(command.Env, name+"="+value)
			}
			printed, _ := command.CombinedOutput() // the command must fail
			if len(printed) == 0 {
				t.Errorf("%s, %s: no output", name, args[0])
			}
			w.evidence.add("what is printed of "+name, string(printed))
		}
	}
}
