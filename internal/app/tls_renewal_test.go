package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Kubernetes mounts a link to a folder, and swaps the link.
func TestRenewedCertificateIsServed(t *testing.T) {
	mount := t.TempDir()
	point := func(i issued, version string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(mount, version), 0o700); err != nil {
			t.Fatal(err)
		}
		i.pairIn(t, filepath.Join(mount, version))
		if err := os.Symlink(version, filepath.Join(mount, "..next")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(mount, "..next"), filepath.Join(mount, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	point(issue(t, "first", time.Hour), "..1")
	for _, name := range []string{"tls.crt", "tls.key"} {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(mount, name)); err != nil {
			t.Fatal(err)
		}
	}
	cert, key := filepath.Join(mount, "tls.crt"), filepath.Join(mount, "tls.key")
	s := newFixture(t).start(t, map[string]string{"TLS_CERT_FILE": cert, "TLS_KEY_FILE": key, "ADMIN_TLS_CERT_FILE": cert, "ADMIN_TLS_KEY_FILE": key})
	if got := served(t, s.PublicAddr()); got != "first" {
		t.Fatalf("at first: %s", got)
	}
	point(issue(t, "second", time.Hour), "..2")
	for name, addr := range map[string]string{"public": s.PublicAddr(), "admin": s.AdminAddr()} {
		until(t, "the renewed certificate, "+name, func() bool { return served(t, addr) == "second" })
	}
}

func TestHalfRenewedCertificateKeepsOldOne(t *testing.T) {
	folder := t.TempDir()
	first, second := issue(t, "first", time.Hour), issue(t, "second", time.Hour)
	cert, key := first.pairIn(t, folder)
	s := newFixture(t).start(t, map[string]string{"TLS_CERT_FILE": cert, "TLS_KEY_FILE": key})
	if err := os.WriteFile(cert, second.cert, 0o600); err != nil {
		t.Fatal(err)
	}
	const line = "the renewed certificate cannot be used"
	until(t, "the line", func() bool {
		if got := served(t, s.PublicAddr()); got != "first" {
			t.Fatalf("half-way: %s", got)
		}
		return strings.Contains(s.logs.String(), line)
	})
	if err := os.WriteFile(key, second.key, 0o600); err != nil {
		t.Fatal(err)
	}
	until(t, "the renewed certificate", func() bool { return served(t, s.PublicAddr()) == "second" })
	if n := strings.Count(s.logs.String(), line); n != 1 {
		t.Errorf("%d lines", n)
	}
	if s.reloadFailures(t, "TLS_CERT_FILE") == 0 {
		t.Error("the metric counts no failure")
	}
	if strings.Contains(s.logs.String(), "PRIVATE KEY") {
		t.Error("a key is in the log")
	}
}

func TestUnusableRenewalIsNamedForEachListener(t *testing.T) {
	i := issue(t, "first", time.Hour)
	cert, key := i.pairIn(t, t.TempDir())
	s := newFixture(t).start(t, map[string]string{"TLS_CERT_FILE": cert, "TLS_KEY_FILE": key, "ADMIN_TLS_CERT_FILE": cert, "ADMIN_TLS_KEY_FILE": key})
	for _, content := range []string{"", string(i.cert[:100]), string(i.key), "\x00" + string(i.cert)} {
		if err := os.WriteFile(cert, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		s.Reload()
		for setting, addr := range map[string]string{"TLS_CERT_FILE": s.PublicAddr(), "ADMIN_TLS_CERT_FILE": s.AdminAddr()} {
			until(t, "a line about "+setting, func() bool { return s.saidInError(t, setting, "the renewed certificate cannot be used: "+cert) })
			if got := served(t, addr); got != "first" {
				t.Errorf("%.20q: %s is served", content, got)
			}
		}
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	s.Reload()
	until(t, "a line about the key", func() bool { return s.saidInError(t, "TLS_CERT_FILE", "open "+key) })
	second := issue(t, "second", time.Hour)
	second.pairIn(t, filepath.Dir(cert))
	s.Reload()
	until(t, "the renewed certificate", func() bool { return served(t, s.PublicAddr()) == "second" && served(t, s.AdminAddr()) == "second" })
	if strings.Contains(s.logs.String(), "PRIVATE KEY") {
		t.Error("a key is in the log")
	}
}
