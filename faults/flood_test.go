//go:build faults

package faults_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// flood is a number of requests to one server. They go out in batches on a few
// connections: single requests would mostly measure the machine.
type flood struct {
	requests int
	request  func(i int) string
	want     int // the expected status of nearly all answers
}

const (
	floodConnections = 8
	floodBatch       = 16
)

// run sends all requests. Nine of ten answers must be as expected, otherwise the caches
// are not full.
func (f flood) run(t *testing.T, p *process, what string) {
	t.Helper()
	began := time.Now()
	var mu sync.Mutex
	got := map[int]int{}
	var senders sync.WaitGroup
	for k := range floodConnections {
		senders.Go(func() {
			statuses, err := f.send(p.public, k)
			mu.Lock()
			defer mu.Unlock()
			for status, n := range statuses {
				got[status] += n
			}
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
		})
	}
	senders.Wait()
	t.Logf("%s: %v in %s, at most %d MiB", what, got, time.Since(began).Round(time.Millisecond), p.peakMemory(t))
	if got[f.want] < f.requests*9/10 {
		t.Errorf("%s: only %d of %d answers are %d", what, got[f.want], f.requests, f.want)
	}
}

// send sends every floodConnections-th request, starting with the kth.
func (f flood) send(address string, k int) (map[int]int, error) {
	conn, err := net.DialTimeout("tcp", address, 10*time.Second) //nolint:noctx // bounded itself
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	defer func() { _ = conn.Close() }()
	r := bufio.NewReader(conn)
	statuses := map[int]int{}
	for i := k; i < f.requests; {
		var batch strings.Builder
		sent := 0
		for ; sent < floodBatch && i < f.requests; sent, i = sent+1, i+floodConnections {
			batch.WriteString(f.request(i))
		}
		_ = conn.SetDeadline(time.Now().Add(60 * time.Second))
		if _, err := io.WriteString(conn, batch.String()); err != nil {
			return statuses, fmt.Errorf("sending: %w", err)
		}
		for range sent {
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				return statuses, fmt.Errorf("no answer: %w", err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			statuses[resp.StatusCode]++
		}
	}
	return statuses, nil
}

// addressOf returns the ith of many IP addresses.
func addressOf(i int) string { return fmt.Sprintf("10.%d.%d.%d", i>>16&255, i>>8&255, i&255) }

// postRequest returns a POST request with a body.
func postRequest(i int, path, headers, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: %s\r\nContent-Length: %d\r\n%s\r\n%s", path, addressOf(i), len(body), headers, body)
}

// vendRequest returns a request for a client token.
func vendRequest(i int, credential, body string) string {
	return postRequest(i, "/client-tokens", "Content-Type: application/json\r\n"+credential+"\r\n", body)
}
