//go:build faults

package faults_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// attack is the attackers' job: they open connections, send something on each, and keep
// them.
type attack struct {
	Address     string
	Connections int
	Say         string
	Again       string // sent on each connection once a second
	Deaf        bool   // never reads answers
}

// opened is the attackers' report when all connections are open.
type opened struct {
	Took   time.Duration
	Failed int // connections that could not be opened
}

// held is the attackers' last report.
type held struct {
	Open int // connections the server has kept open
	// Closed is from the first opening until the server had closed the last one. 0
	// means never.
	Closed time.Duration
}

// attackers is the attackers' process. It has a low priority, because real attackers
// have machines of their own.
type attackers struct {
	*subprocess

	opened opened
}

// startAttack starts an attack, and waits until all connections are open.
func startAttack(t *testing.T, p *process, a attack) attackers {
	t.Helper()
	a.Address = p.public
	s := attackers{subprocess: startSubprocess(t, "attackers", a, "nice", "-n", "10")}
	s.receive(t, &s.opened)
	if s.opened.Failed > 0 {
		t.Errorf("%d of %d connections failed to open", s.opened.Failed, a.Connections)
	}
	return s
}

// runAttackers is the role of the attackers.
func runAttackers(job []byte, end <-chan struct{}, report func(any)) error {
	var a attack
	if err := json.Unmarshal(job, &a); err != nil {
		return fmt.Errorf("the job: %w", err)
	}
	began := time.Now()
	conns, failed := a.open()
	report(opened{time.Since(began), failed})
	var h held
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for ended := false; !ended; {
		select {
		case <-end:
			ended = true
		case <-tick.C:
		}
		conns = slices.DeleteFunc(conns, func(c *attackConn) bool {
			_, err := io.WriteString(c, a.Again)
			return err != nil || c.ended.Load()
		})
		if len(conns) == 0 && h.Closed == 0 {
			h.Closed = time.Since(began)
		}
	}
	h.Open = len(conns)
	report(h)
	return nil
}

// open opens the connections, several at once.
func (a attack) open() (conns []*attackConn, failed int) {
	conns = make([]*attackConn, a.Connections)
	var failures atomic.Int64
	var opening sync.WaitGroup
	const atOnce = 8
	for k := range atOnce {
		opening.Go(func() {
			for i := k; i < len(conns); i += atOnce {
				c, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(context.Background(), "tcp", a.Address)
				if err != nil {
					failures.Add(1)
					continue
				}
				conns[i] = a.keep(c)
			}
		})
	}
	opening.Wait()
	conns = slices.DeleteFunc(conns, func(c *attackConn) bool { return c == nil })
	return conns, int(failures.Load())
}

// attackConn is an attacker's connection.
type attackConn struct {
	net.Conn

	ended atomic.Bool // the server has closed it, as far as is known
}

// keep sends the attack's bytes on a connection, and follows it to its end.
func (a attack) keep(c net.Conn) *attackConn {
	kept := &attackConn{Conn: c}
	_, _ = io.WriteString(c, a.Say) // the server may have closed it already
	if !a.Deaf {
		go func() {
			_, _ = io.Copy(io.Discard, c)
			kept.ended.Store(true)
			_ = c.Close()
		}()
	}
	return kept
}
