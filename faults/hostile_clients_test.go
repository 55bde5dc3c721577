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
	idleConnections = 10_000
	maxKept         = 3_000 // internal/listener: maxConnections
)

// requireOpenFiles fails the test if the process cannot open n connections.
func requireOpenFiles(t *testing.T, n uint64) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < n+500 {
		t.Fatalf("the test needs %d open files, but the limit is %d (%v): raise the hard limit (ulimit -Hn)", n+500, limit.Cur, err)
	}
}

// startServer starts a server with the log level of production.
func startServer(t *testing.T) (*world, *process) {
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
	w, p := startServer(t)
	credential := "Authorization: Bearer " + w.users[1].bearer + "\r\n"
	good := w.startGoodClient(t, p)
	began := time.Now()
	headers := startAttack(t, p, attack{Connections: 500, Say: slowHeader, Again: "x"})
	bodies := startAttack(t, p, attack{Connections: 300, Say: slowBody(credential), Again: "x"})
	// A client that never reads fills the buffers of both sides.
	startAttack(t, p, attack{Connections: 50, Say: strings.Repeat("GET /openapi.yaml HTTP/1.1\r\nHost: x\r\n\r\n", 400), Deaf: true})
	<-time.After(13 * time.Second) // the length of the attack, not a wait
	for what, s := range map[string]attackers{"headers": headers, "bodies": bodies} {
		var h held
		s.finish(t, &h)
		t.Logf("slow %s were cut off after %s", what, h.Closed)
		if h.Open > 0 {
			t.Errorf("%d slow %s are still open", h.Open, what)
		}
	}
	checkAnswers(t, p, "slow headers on 500 connections, slow bodies on 300, and 50 without reads", requestsBetween(good.answers(t), began, time.Now()), calmLimit)
	p.checkMemory(t)
}

func TestGoodClientIsAnsweredBeside10000IdleConnections(t *testing.T) {
	requireOpenFiles(t, idleConnections)
	w, p := startServer(t)
	good := w.startGoodClient(t, p)
	began := time.Now()
	// After a request the server keeps the idle connection for 120 s.
	s := startAttack(t, p, attack{Connections: idleConnections, Say: "GET /session HTTP/1.1\r\nHost: x\r\n\r\n"})
	opened := time.Now()
	<-time.After(5 * time.Second) // the length of the attack, not a wait
	ended := time.Now()
	var h held
	s.finish(t, &h)
	all := good.answers(t)
	checkAnswers(t, p, fmt.Sprintf("the opening of %d connections in %s", idleConnections, s.opened.Took), requestsBetween(all, began, opened), stormLimit)
	checkAnswers(t, p, fmt.Sprintf("%d idle connections, %d of them kept", idleConnections, h.Open), requestsBetween(all, opened, ended), calmLimit)
	p.checkMemory(t)
	// Idle connections of attackers have made room for new ones.
	if h.Open < maxKept*9/10 || h.Open > maxKept {
		t.Errorf("%d connections are open, want at most %d and at least nine tenths of that", h.Open, maxKept)
	}
}

// TestGoodClientIsAnsweredBeside5000SlowBodies exceeds the connection limit. Half of
// the bodies are unauthenticated: net/http waits for them before the refusal. The
// server reads the other half.
func TestGoodClientIsAnsweredBeside5000SlowBodies(t *testing.T) {
	const each = 2500
	requireOpenFiles(t, each)
	w, p := startServer(t)
	good := w.startGoodClient(t, p)
	began := time.Now()
	for _, credential := range []string{"", "Authorization: Bearer " + w.users[1].bearer + "\r\n"} {
		startAttack(t, p, attack{Connections: each, Say: slowBody(credential), Again: "x"})
	}
	opened := time.Now()
	<-time.After(11 * time.Second) // until the last connection is cut off
	all := good.answers(t)
	checkAnswers(t, p, fmt.Sprintf("the opening of %d slow bodies in %s", 2*each, opened.Sub(began)), requestsBetween(all, began, opened), stormLimit)
	checkAnswers(t, p, "the slow bodies", requestsBetween(all, opened, time.Now()), calmLimit)
	p.checkMemory(t)
}
