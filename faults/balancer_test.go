//go:build faults

package faults_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// balancer gives each connection to the next ready replica. It works on TCP and never
// retries. Like the endpoints of a Kubernetes Service, it learns readiness from /readyz
// alone.
type balancer struct {
	address string

	mu       sync.Mutex
	replicas []*replica
	next     int
}

// replica is a server behind the balancer.
type replica struct {
	*process

	// Guarded by balancer.mu.
	ready       bool
	stoppedAt   time.Time     // when it got SIGTERM
	lastConnect time.Duration // how long after SIGTERM the balancer last connected to it
}

// The readiness probe. One negative answer counts at once. A missing answer may be the
// machine's fault, so two in a row count.
const (
	probeEvery  = 100 * time.Millisecond
	probeMisses = 2
)

// newBalancer starts a balancer without replicas.
func newBalancer(t *testing.T) *balancer {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	b := &balancer{address: listener.Addr().String()}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go b.pass(ctx, client)
		}
	}()
	return b
}

// add puts a replica behind the balancer, and returns when it is ready.
func (b *balancer) add(t *testing.T, p *process) *replica {
	t.Helper()
	r := &replica{process: p}
	b.mu.Lock()
	b.replicas = append(b.replicas, r)
	b.mu.Unlock()
	go b.probe(r)
	waitFor(t, "readiness", 10*time.Second, func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return r.ready
	})
	return r
}

// probe polls a replica's readiness until the replica has ended.
func (b *balancer) probe(r *replica) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 2 * time.Second}
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for misses := probeMisses; r.running(); <-tick.C {
		misses++
		if resp, err := client.Get("http://" + r.admin + "/readyz"); err == nil { //nolint:noctx // bounded by the client
			misses = probeMisses
			if resp.StatusCode == http.StatusOK {
				misses = 0
			}
			_ = resp.Body.Close()
		}
		b.mu.Lock()
		r.ready = misses < probeMisses
		b.mu.Unlock()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.replicas = slices.DeleteFunc(b.replicas, func(other *replica) bool { return other == r })
}

// choose returns the next ready replica, or nil.
func (b *balancer) choose() *replica {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range b.replicas {
		b.next++
		if r := b.replicas[b.next%len(b.replicas)]; r.ready {
			return r
		}
	}
	return nil
}

// connected records a connection to a replica after its SIGTERM.
func (b *balancer) connected(r *replica) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !r.stoppedAt.IsZero() {
		r.lastConnect = time.Since(r.stoppedAt)
	}
}

// pass copies the bytes of one connection.
func (b *balancer) pass(ctx context.Context, client net.Conn) {
	defer func() { _ = client.Close() }()
	r := b.choose()
	if r == nil {
		return
	}
	server, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", r.public)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	b.connected(r)
	ended := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
		go func() {
			_, _ = io.Copy(way[0], way[1])
			ended <- struct{}{}
		}()
	}
	<-ended // either side: HTTP clients do not half-close
}
