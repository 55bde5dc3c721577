//go:build faults

package faults_test

import (
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// trusts waits for a token, and fails without one.
func (o *outside) trusts(t *testing.T, p *process) {
	t.Helper()
	waitFor(t, "a token", 20*time.Second, func() bool { return o.caller(p, nil).call(t.Context()).summary() == token })
}

// distrusts waits for the fault in /readyz and in the log, with the host.
func (o *outside) distrusts(t *testing.T, p *process, hosts ...string) {
	t.Helper()
	waitFor(t, "the reason in /readyz", 20*time.Second, func() bool {
		_, missing := p.readiness(t)
		return len(missing) == len(hosts) && !slices.ContainsFunc(missing, func(m missingDependency) bool { return m.Reason != "TLS certificate not valid" })
	})
	for _, host := range hosts {
		waitFor(t, "a log line that names "+host, 20*time.Second, func() bool {
			for line := range strings.Lines(p.stdout.String()) {
				if strings.Contains(line, "certificate signed by unknown authority") && strings.Contains(line, host) {
					return true
				}
			}
			return false
		})
	}
}

func TestUnknownAuthorityIsRefusedAndNamed(t *testing.T) {
	t.Parallel()
	o := newOutside(t)
	p := o.start(t, map[string]string{"SSL_CERT_FILE": newAuthority(t).file})
	o.distrusts(t, p, "dwolla.test", "idp.test")
	if got := o.caller(p, nil).call(t.Context()); got.summary() != unavailable {
		t.Errorf("a user got %s, want 503", got.summary())
	}
}

// TestUnknownAuthorityOfTheApplicationIsLogged: the lookup's log line names no host.
func TestUnknownAuthorityOfTheApplicationIsLogged(t *testing.T) {
	t.Parallel()
	o := newOutside(t)
	o.serveAt(t, "app.test", http.HandlerFunc(o.serveApplication), newAuthority(t))
	p := o.start(t, map[string]string{"CUSTOMER_SOURCE": "lookup", "CUSTOMER_LOOKUP_URL": "https://app.test/users/{user}", "CUSTOMER_CACHE": "0s"})
	waitFor(t, "a log line about the application", 20*time.Second, func() bool {
		if got := o.caller(p, nil).call(t.Context()); got.summary() != unavailable {
			t.Fatalf("a user got %s %s, want 503", got.summary(), got.defect)
		}
		for line := range strings.Lines(p.stdout.String()) {
			if strings.Contains(line, "asking the application") && strings.Contains(line, "certificate signed by unknown authority") {
				return true
			}
		}
		return false
	})
}

// TestEgressProxyCannotImpersonateAServer lets the proxy send Dwolla's connections to a
// server with a certificate by another authority.
func TestEgressProxyCannotImpersonateAServer(t *testing.T) {
	t.Parallel()
	o := newOutside(t)
	asked := make(chan struct{}, 100)
	o.serveAt(t, "dwolla.test", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked <- struct{}{} }), newAuthority(t))
	o.distrusts(t, o.start(t, nil), "dwolla.test")
	if len(asked) > 0 {
		t.Error("the impostor got a request")
	}
}

// TestFileAndFolderOfAuthoritiesAddUp: the provider's authority is in the folder alone.
func TestFileAndFolderOfAuthoritiesAddUp(t *testing.T) {
	t.Parallel()
	o := newOutside(t)
	other := newAuthority(t)
	o.serveAt(t, "idp.test", o.provider, other)
	o.trusts(t, o.start(t, map[string]string{"SSL_CERT_DIR": t.TempDir() + ":" + filepath.Dir(other.file)}))
	o.distrusts(t, o.start(t, map[string]string{"SSL_CERT_DIR": t.TempDir()}), "idp.test")
}

// TestStoresAcceptAPrivateAuthority ends TLS in front of Redis and PostgreSQL.
func TestStoresAcceptAPrivateAuthority(t *testing.T) {
	t.Parallel()
	o := newOutside(t)
	config := o.ca.serverOf(t, "localhost")
	o.withPostgres(t)
	o.withRedis(t, sharedRedis(t))
	redis := "rediss://localhost:" + serveTLS(t, config, o.toRedis.Addr, func(net.Conn) error { return nil })
	at, err := url.Parse(o.settings["DATABASE_URL"])
	if err != nil {
		t.Fatal(err)
	}
	at.Host = "localhost:" + serveTLS(t, config, o.toPostgres.Addr, acceptTLS)
	at.RawQuery = strings.Replace(at.RawQuery, "sslmode=disable", "sslmode=verify-full", 1)
	signIn := map[string]string{
		"AUTH_MODES": "bearer,oidc", "AUTH_OIDC_ISSUER": "https://idp.test", "AUTH_OIDC_CLIENT_ID": "c", "AUTH_OIDC_CLIENT_SECRET": o.secret("AUTH_OIDC_CLIENT_SECRET"),
		"PUBLIC_URL": "https://own.test", "REDIS_URL": redis, "DATABASE_URL": at.String(),
	}
	ready := func(p *process) bool {
		status, missing := p.readiness(t)
		return status == http.StatusOK && len(missing) == 0
	}
	p := o.start(t, signIn)
	waitFor(t, "both stores, by SSL_CERT_FILE", 20*time.Second, func() bool { return ready(p) })
	o.trusts(t, p)

	signIn["SSL_CERT_FILE"] = newAuthority(t).file
	p = o.start(t, signIn)
	waitFor(t, "the reasons in /readyz", 20*time.Second, func() bool {
		_, text := p.getAdmin(t, "/readyz")
		return strings.Contains(text, "postgres: TLS certificate not valid") && strings.Contains(text, "redis: TLS certificate not valid")
	})
	at.RawQuery += "&sslrootcert=" + url.QueryEscape(o.ca.file)
	signIn["DATABASE_URL"] = at.String()
	p = o.start(t, signIn)
	waitFor(t, "PostgreSQL, by sslrootcert", 20*time.Second, func() bool {
		_, text := p.getAdmin(t, "/readyz")
		return strings.Contains(text, "redis: TLS certificate not valid") && !strings.Contains(text, "postgres")
	})
}

// acceptTLS answers PostgreSQL's SSLRequest.
func acceptTLS(c net.Conn) error {
	if _, err := io.ReadFull(c, make([]byte, 8)); err != nil {
		return err
	}
	_, err := c.Write([]byte{'S'})
	return err
}

// TestBadAuthoritiesFailTheStart runs the real binary: Go itself would ignore them.
func TestBadAuthoritiesFailTheStart(t *testing.T) {
	t.Parallel()
	o := newOutside(t)
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"SSL_CERT_FILE": empty, "SSL_CERT_DIR": "/nowhere", "HTTPS_PROXY": "http://garbage:port", "NO_PROXY": "http://idp.test",
	} {
		said, code := o.check(t, map[string]string{name: value})
		if code != 2 || !strings.Contains(said, "\n  "+name+": ") {
			t.Errorf("%s=%s: exit code %d, want 2 and the name:\n%s", name, value, code, said)
		}
	}
	if said, code := o.check(t, nil); code != 0 {
		t.Errorf("the good settings: exit code %d:\n%s", code, said)
	}
}

// check runs server -check.
func (o *outside) check(t *testing.T, changes map[string]string) (said string, code int) {
	t.Helper()
	settings := maps.Clone(o.settings)
	maps.Copy(settings, changes)
	command := exec.CommandContext(context.WithoutCancel(t.Context()), binary.path, "-check")
	command.Env = []string{}
	for name, value := range settings {
		command.Env = append(command.Env, name+"="+value)
	}
	out, err := command.CombinedOutput()
	if err != nil && command.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), command.ProcessState.ExitCode()
}
