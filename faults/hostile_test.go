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

// enoughFiles fails the test if the process cannot open n connections.
func enoughFiles(t *testing.T, n uint64) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < n+500 {
		t.Fatalf("the test needs %d open files, and the limit is %d (%v): raise the hard limit, ulimit -Hn", n+500, limit.Cur, err)
	}
}

// hostile starts a server with the log level of production.
func hostile(t *testing.T) (*world, *process) {
	t.Helper()
	w := newWorld(t)
	return w, w.start(t, map[string]string{"DWOLLA_TIMEOUT": "5s", "LOG_LEVEL": "info"})
}

// slowHeader and slowBody begin requests that never end.
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
	// A client that never reads fills the buffers of both sides.
	startStrangers(t, p, attack{Connections: 50, Say: strings.Repeat("GET /openapi.yaml HTTP/1.1\r\nHost: x\r\n\r\n", 400), Deaf: true})
	<-time.After(13 * time.Second) // the length of the attack, not a wait
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
	// After a request the server keeps the idle connection for 120 s.
	s := startStrangers(t, p, attack{Connections: idleStrange, Say: "GET /session HTTP/1.1\r\nHost: x\r\n\r\n"})
	opened := time.Now()
	<-time.After(5 * time.Second) // the length of the attack, not a wait
	ended := time.Now()
	var h held
	s.ends(t, &h)
	all := good.ended(t)
	judge(t, p, fmt.Sprintf("the opening of %d connections in %s", idleStrange, s.opened.Took), between(all, began, opened), inAStorm)
	judge(t, p, fmt.Sprintf("%d idle connections, of which %d are kept", idleStrange, h.Open), between(all, opened, ended), fastEnough)
	p.keepsItsMemory(t)
	// Idle connections of attackers have made room for new ones.
	if h.Open < mostKept*9/10 || h.Open > mostKept {
		t.Errorf("%d connections are open, want nearly %d", h.Open, mostKept)
	}
}

// TestGoodClientIsAnsweredBeside5000SlowBodies exceeds the connection limit. Half of
// the bodies are unauthenticated: net/http waits for them before the refusal. The
// server reads the other half.
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
	<-time.After(11 * time.Second) // until the last connection is cut off
	all := good.ended(t)
	judge(t, p, fmt.Sprintf("the opening of %d slow bodies in %s", 2*each, opened.Sub(began)), between(all, began, opened), inAStorm)
	judge(t, p, "the slow bodies", between(all, opened, time.Now()), fastEnough)
	p.keepsItsMemory(t)
}
