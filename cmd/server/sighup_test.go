package main_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestSIGHUPReopensTheAuditFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	g := startGate(t, buildServer(t), "AUDIT_LOG="+path)
	g.drain()
	g.vend()
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	g.vend()
	if err := g.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	g.until("there is a new file", func() bool { text, _ := os.ReadFile(path); return strings.Contains(string(text), `"reopened"`) })
	g.vend()
	for name, want := range map[string]int{path + ".1": 2, path: 1} {
		text, err := os.ReadFile(name)
		if got := strings.Count(string(text), `"outcome":"vended"`); got != want || err != nil {
			t.Errorf("%s has %d entries, want %d, error %v", filepath.Base(name), got, want, err)
		}
	}
	g.ends()
}

func TestSIGHUPWithoutAuditFileIsHarmless(t *testing.T) {
	g := startGate(t, buildServer(t))
	g.drain()
	if err := g.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if status := g.vend(); status != http.StatusOK {
			t.Errorf("a vend is answered with %d", status)
		}
	}
	g.ends()
}

// adminTokens is a file with ADMIN_TOKEN.
type adminTokens string

func newAdminTokens(t *testing.T) adminTokens {
	t.Helper()
	return adminTokens(filepath.Join(t.TempDir(), "tokens"))
}

// put replaces the file by one with the n-th token, and returns the token.
func (f adminTokens) put(t *testing.T, n int) string {
	t.Helper()
	token := fmt.Sprintf("the-very-secret-token-%d-of-an-operator", n)
	if err := os.WriteFile(string(f)+".next", []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(string(f)+".next", string(f)); err != nil {
		t.Fatal(err)
	}
	return token
}

// accepts reports whether the directory API takes a token.
func (g *gate) accepts(token string) bool {
	g.t.Helper()
	g.token = token
	status, _ := g.get("/customers")
	return status == http.StatusOK
}

func (g *gate) hangUp() {
	g.t.Helper()
	if err := g.Process.Signal(syscall.SIGHUP); err != nil {
		g.t.Fatal(err)
	}
}

// TestSIGHUPReadsASecretAtOnce: without the signal, a new value waits for two looks, which
// are two seconds apart.
func TestSIGHUPReadsASecretAtOnce(t *testing.T) {
	file := newAdminTokens(t)
	before := file.put(t, 0)
	g := startGate(t, buildServer(t), "CUSTOMER_SOURCE=database", "DATABASE_URL=sqlite:"+filepath.Join(t.TempDir(), "links.db"), "ADMIN_TOKEN_FILE="+string(file))
	g.drain()
	quickest := time.Minute
	for n := 1; n <= 3; n++ {
		if !g.accepts(before) {
			t.Fatalf("round %d: the old token is refused", n)
		}
		next, changed := file.put(t, n), time.Now()
		g.hangUp()
		g.until("the new token is accepted", func() bool { return g.accepts(next) })
		quickest = min(quickest, time.Since(changed))
		if g.accepts(before) {
			t.Errorf("round %d: the old token is accepted, too", n)
		}
		before = next
	}
	if quickest > 1500*time.Millisecond {
		t.Errorf("the quickest change took %s", quickest)
	}
	g.ends()
}

// TestSIGHUPDuringTheStartIsHarmless: the start waits for a database that never answers.
func TestSIGHUPDuringTheStartIsHarmless(t *testing.T) {
	file := newAdminTokens(t)
	file.put(t, 0)
	mute, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // ends with the test
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = mute.Close() }()
	v := runServer(t, buildServer(t), "CUSTOMER_SOURCE=database", "DATABASE_URL=postgres://x@"+mute.Addr().String()+"/x?sslmode=disable",
		"ADMIN_TOKEN_FILE="+string(file), "ADMIN_ADDR=127.0.0.1:"+freePort(t))
	waiting, err := mute.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = waiting.Close() }()
	next := file.put(t, 1)
	for range 3 {
		if err := v.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	g := &gate{Cmd: v, t: t}
	for _, variable := range v.Env {
		if addr, found := strings.CutPrefix(variable, "ADMIN_ADDR="); found {
			g.admin = "http://" + addr
		}
	}
	g.until("it listens", func() bool {
		c, err := net.Dial("tcp", strings.TrimPrefix(g.admin, "http://")) //nolint:noctx // at once
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	g.token = next
	g.until("the new token is in force", func() bool { status, _ := g.get("/customers"); return status != http.StatusUnauthorized })
}
