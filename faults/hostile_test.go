//go:build faults

package faults_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	idleStrange = 10_000
	mostKept    = 3_000 // internal/listener: maxConnections
)

// enoughFiles fails the test where strangers cannot have so many connections.
func enoughFiles(t *testing.T, n uint64) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < n+500 {
		t.Fatalf("the test needs %d open files, and the limit is %d (%v): raise the hard limit, ulimit -Hn", n+500, limit.Cur, err)
	}
}

// hostile is a server of its own, at the level at which operators run it.
func hostile(t *testing.T) (*world, *process) {
	t.Helper()
	w := newWorld(t)
	return w, w.start(t, map[string]string{"DWOLLA_TIMEOUT": "5s", "LOG_LEVEL": "info"})
}

// slowHeader and slowBody are how requests begin that never end.
const slowHeader = "GET /session HTTP/1.1\r\nHost: x\r\nX-Slow: "

func slowBody(credential string) string {
	return "POST /client-tokens HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n" + credential + "\r\n{"
}

func TestGoodClientIsAnsweredBesideSlowClients(t *testing.T) {
	w, p := hostile(t)
	credential := "Authorization: Bearer " + w.users[1].bearer + "\r\n"
	good := w.startGoodClient(t, p)
	began := time.Now()
	headers := startStrangers(t, p, attack{Connections: 500, Say: slowHeader, Again: "x"})
	bodies := startStrangers(t, p, attack{Connections: 300, Say: slowBody(credential), Again: "x"})
	// Who asks and does not read fills the buffers of both sides.
	startStrangers(t, p, attack{Connections: 50, Say: strings.Repeat("GET /openapi.yaml HTTP/1.1\r\nHost: x\r\n\r\n", 400), Deaf: true})
	<-time.After(13 * time.Second) // how long it lasts, and not a wait for something
	for what, s := range map[string]strangers{"headers": headers, "bodies": bodies} {
		var h held
		s.ends(t, &h)
		t.Logf("slow %s were cut off after %s", what, h.Closed)
		if h.Open > 0 {
			t.Errorf("%d slow %s are still open", h.Open, what)
		}
	}
	judge(t, p, "slow headers on 500 connections, slow bodies on 300, and 50 that read nothing", between(good.ended(t), began, time.Now()), fastEnough)
	p.keepsItsMemory(t)
}

func TestGoodClientIsAnsweredBeside10000IdleConnections(t *testing.T) {
	enoughFiles(t, idleStrange)
	w, p := hostile(t)
	good := w.startGoodClient(t, p)
	began := time.Now()
	// A stranger's request makes a connection that is kept, for 120 s.
	s := startStrangers(t, p, attack{Connections: idleStrange, Say: "GET /session HTTP/1.1\r\nHost: x\r\n\r\n"})
	opened := time.Now()
	<-time.After(5 * time.Second) // how long it lasts, and not a wait for something
	ended := time.Now()
	var h held
	s.ends(t, &h)
	all := good.ended(t)
	judge(t, p, fmt.Sprintf("the opening of %d connections in %s", idleStrange, s.opened.Took), between(all, began, opened), inAStorm)
	judge(t, p, fmt.Sprintf("%d idle connections, of which %d are kept", idleStrange, h.Open), between(all, opened, ended), fastEnough)
	p.keepsItsMemory(t)
	// The strangers' own connections have made room for the new ones.
	if h.Open < mostKept*9/10 || h.Open > mostKept {
		t.Errorf("%d connections are open, want nearly %d", h.Open, mostKept)
	}
}

// TestGoodClientIsAnsweredBeside5000SlowBodies: more than there is room for, of
// strangers, whose bodies net/http waits for before it refuses them, and of a
// user, whose bodies are read.
func TestGoodClientIsAnsweredBeside5000SlowBodies(t *testing.T) {
	const each = 2500
	enoughFiles(t, each)
	w, p := hostile(t)
	good := w.startGoodClient(t, p)
	began := time.Now()
	for _, credential := range []string{"", "Authorization: Bearer " + w.users[1].bearer + "\r\n"} {
		startStrangers(t, p, attack{Connections: each, Say: slowBody(credential), Again: "x"})
	}
	opened := time.Now()
	<-time.After(11 * time.Second) // until the last are cut off
	all := good.ended(t)
	judge(t, p, fmt.Sprintf("the opening of %d slow bodies in %s", 2*each, opened.Sub(began)), between(all, began, opened), inAStorm)
	judge(t, p, "the slow bodies", between(all, opened, time.Now()), fastEnough)
	p.keepsItsMemory(t)
}
