//go:build faults

package faults_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The service keeps its memory, and a good client gets its answers, whatever
// strangers do with their connections.
const (
	mostMemory  = 150 // MiB
	fastEnough  = 100 * time.Millisecond
	goodEvery   = 50 * time.Millisecond
	idleStrange = 10_000
	idleKept    = 4_000 // internal/app: mostConnections
)

// goodClient asks for a token every goodEvery, in turns on a connection that it
// keeps and on a new one, until the function that it returns is called. That
// one fails the test if it was not answered well, and quickly.
func (w *world) goodClient(t *testing.T, p *process) (stop func(during string)) {
	t.Helper()
	request := asking(p.public, "Authorization: Bearer "+w.users[0].bearer)
	clients := []*rawClient{{address: p.public, kept: true}, {address: p.public}}
	until(t, "a first token", 10*time.Second, func() bool {
		got, err := clients[0].do(request)
		return err == nil && got.token != ""
	})
	stopped, ended := make(chan struct{}), make(chan struct{})
	var took []time.Duration
	var faults []string
	go func() {
		defer close(ended)
		tick := time.NewTicker(goodEvery)
		defer tick.Stop()
		for n := 0; ; n++ {
			began := time.Now()
			fault := clients[n%2].askWell(request)
			took = append(took, time.Since(began))
			if fault != "" {
				faults = append(faults, fault)
			}
			select {
			case <-tick.C:
			case <-stopped:
				return
			}
		}
	}()
	return func(during string) {
		t.Helper()
		close(stopped)
		<-ended
		judge(t, p, during, took, faults)
	}
}

// askWell asks, and returns what is wrong with the answer.
func (c *rawClient) askWell(request string) string {
	got, err := c.do(request)
	if err != nil || got.token == "" {
		return fmt.Sprintf("%d %s %v", got.status, got.text, err)
	}
	return ""
}

// judge looks at the answers that the good client got, and at the memory.
func judge(t *testing.T, p *process, during string, took []time.Duration, faults []string) {
	t.Helper()
	slices.Sort(took)
	median, most, memory := took[len(took)/2], took[len(took)*95/100], p.peakMemory(t)
	t.Logf("during %s: %d answers to the good client, median %s, 95 %% within %s, the slowest %s; memory at most %d MiB",
		during, len(took), median, most, took[len(took)-1], memory)
	if len(faults) > 0 {
		t.Errorf("%d answers were no tokens: %s", len(faults), faults[0])
	}
	// The machine is shared with the attackers, and others: some may wait for it.
	if median > fastEnough/4 || most > fastEnough {
		t.Error("the good client waits")
	}
	if memory >= mostMemory {
		t.Errorf("the server has %d MiB", memory)
	}
}

// strangers opens n connections, sends something on each, and returns them.
func strangers(t *testing.T, p *process, n int, say string) []net.Conn {
	t.Helper()
	conns := make([]net.Conn, n)
	var opening sync.WaitGroup
	const atOnce = 8
	for k := range atOnce {
		opening.Go(func() {
			for i := k; i < n; i += atOnce {
				c, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(t.Context(), "tcp", p.public)
				if err != nil {
					t.Error(err)
					return
				}
				conns[i] = c
				_, _ = io.WriteString(c, say) // it may have been closed already
			}
		})
	}
	opening.Wait()
	t.Cleanup(func() { hangUp(conns) })
	return conns
}

func hangUp(conns []net.Conn) {
	for _, c := range conns {
		if c != nil {
			_ = c.Close()
		}
	}
}

// drip sends one byte on each connection every second, until the server has
// closed all, and returns how long that took.
func drip(t *testing.T, conns []net.Conn, within time.Duration) time.Duration {
	t.Helper()
	began := time.Now()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	open := slices.Clone(conns)
	for len(open) > 0 {
		if time.Since(began) > within {
			t.Fatalf("%d slow connections are still open after %s", len(open), within)
		}
		<-tick.C
		open = slices.DeleteFunc(open, func(c net.Conn) bool {
			_, err := io.WriteString(c, "x")
			return err != nil
		})
	}
	return time.Since(began)
}

func TestAGoodClientIsAnsweredWhileStrangersAreSlow(t *testing.T) {
	w := newWorld(t)
	p := w.start(t, map[string]string{"DWOLLA_TIMEOUT": "5s", "LOG_LEVEL": "info"})
	stop := w.goodClient(t, p)
	credential := "Authorization: Bearer " + w.users[1].bearer
	var attacks sync.WaitGroup
	attacks.Go(func() {
		took := drip(t, strangers(t, p, 500, "GET /session HTTP/1.1\r\nHost: x\r\nX-Slow: "), 12*time.Second)
		t.Logf("slow headers were cut off after %s", took)
	})
	attacks.Go(func() {
		took := drip(t, strangers(t, p, 300, "POST /client-tokens HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n"+credential+"\r\n\r\n{"), 20*time.Second)
		t.Logf("slow bodies were cut off after %s", took)
	})
	attacks.Go(func() {
		// Who asks and does not read fills the buffers of both sides.
		strangers(t, p, 50, strings.Repeat("GET /openapi.yaml HTTP/1.1\r\nHost: x\r\n\r\n", 400))
	})
	attacks.Wait()
	stop("slow headers on 500 connections, slow bodies on 300, and 50 that read nothing")
}

func TestAGoodClientIsAnsweredWhile10000ConnectionsAreIdle(t *testing.T) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < idleStrange+500 {
		t.Fatalf("the test needs %d open files, and the limit is %d (%v): raise the hard limit, ulimit -Hn", idleStrange+500, limit.Cur, err)
	}
	w := newWorld(t)
	p := w.start(t, map[string]string{"DWOLLA_TIMEOUT": "5s", "LOG_LEVEL": "info"})
	stop := w.goodClient(t, p)
	// A stranger's request makes a connection that is kept, for 120 s.
	conns := strangers(t, p, idleStrange, "GET /session HTTP/1.1\r\nHost: x\r\n\r\n")
	<-time.After(3 * time.Second) // how long it lasts, and not a wait for something
	open := 0
	for _, c := range conns {
		if isOpen(c) {
			open++
		}
	}
	stop(fmt.Sprintf("%d idle connections, of which %d are kept", idleStrange, open))
	// The strangers' own connections have made room for the new ones.
	if open < idleKept*9/10 || open > idleKept {
		t.Errorf("%d connections are open, want nearly %d", open, idleKept)
	}
}

// isOpen reads the answer of a connection, and reports whether it is kept.
func isOpen(c net.Conn) bool {
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	one := make([]byte, 4096)
	n, err := c.Read(one)
	if err != nil || !strings.HasPrefix(string(one[:n]), fmt.Sprintf("HTTP/1.1 %d", http.StatusUnauthorized)) {
		return false
	}
	_ = c.SetReadDeadline(time.Now().Add(100 * time.Microsecond))
	_, err = c.Read(one)
	timeout, ok := err.(net.Error) //nolint:errorlint // what net returns
	return ok && timeout.Timeout()
}
