package main_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
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
