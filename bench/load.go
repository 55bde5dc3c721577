package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

// maxRequests bounds the requests to one target in one turn.
const maxRequests = 100_000

// caller is a keep-alive connection. It asks for client tokens one after the other, for
// each user in turn. It writes raw requests, because net/http's client would use more
// CPU than some targets.
type caller struct {
	conn     net.Conn
	answers  *bufio.Reader
	requests [][]byte // one for each user
	next     int
	place    float64 // among those of the same target: 0 up to 1
}

// requestsTo writes one request per user, like a drop-in component. The credentials are
// header lines.
func requestsTo(addr string, credentials []string) [][]byte {
	var requests [][]byte
	for i, line := range credentials {
		body := fmt.Sprintf(`{"action":"customer.read","_links":{"customer":{"href":"https://api-sandbox.dwolla.com/customers/%s"}}}`, customerID(i))
		requests = append(requests, fmt.Appendf(nil, "POST /client-tokens HTTP/1.1\r\nHost: %s\r\n"+
			"Accept: %s\r\n%s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"+
			"Origin: http://%s\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-origin\r\n"+
			"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\r\n%s",
			addr, halJSON, line, len(body), addr, body))
	}
	return requests
}

func dial(ctx context.Context, addr string) (*caller, error) {
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	return &caller{conn: conn, answers: bufio.NewReader(conn)}, nil
}

// call asks for one client token. Any other answer is an error.
func (c *caller) call() error {
	request := c.requests[c.next]
	c.next = (c.next + 1) % len(c.requests)
	r, err := c.exchange(request)
	if err == nil && !r.vended() {
		err = fmt.Errorf("status %d: %.500s", r.status, r.body)
	}
	return err
}

// reply is a response with the whole body.
type reply struct {
	status int
	header http.Header
	body   []byte
	last   bool // the server closes the connection
}

// vended reports whether the reply has a client token.
func (r reply) vended() bool {
	return r.status == http.StatusOK && bytes.HasPrefix(r.body, []byte(`{"token":"`))
}

// exchange sends one request and reads the reply.
func (c *caller) exchange(request []byte) (reply, error) {
	if _, err := c.conn.Write(request); err != nil {
		return reply{}, fmt.Errorf("sending a request: %w", err)
	}
	resp, err := http.ReadResponse(c.answers, nil)
	if err != nil {
		return reply{}, fmt.Errorf("reading an answer: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return reply{}, fmt.Errorf("reading an answer: %w", err)
	}
	return reply{resp.StatusCode, resp.Header, body, resp.Close}, nil
}

// run calls until the time is over and returns the duration of each call. It pauses
// before each call. The callers of a target spread over the first pause.
func (c *caller) run(ctx context.Context, d, pause time.Duration, most int) ([]time.Duration, error) {
	end := time.Now().Add(d)
	time.Sleep(time.Duration(c.place * float64(pause)))
	if err := c.conn.SetDeadline(end.Add(10 * time.Second)); err != nil {
		return nil, fmt.Errorf("bounding the run: %w", err)
	}
	var latencies []time.Duration
	for start := time.Now(); start.Before(end) && len(latencies) < most; {
		if err := c.call(); err != nil {
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, ctx.Err() //nolint:wrapcheck // another caller's error has the words
		}
		now := time.Now()
		latencies = append(latencies, now.Sub(start))
		if start = now; pause > 0 {
			time.Sleep(pause)
			start = time.Now()
		}
	}
	return latencies, nil
}

// runAll runs all callers concurrently.
func runAll(ctx context.Context, callers []*caller, d, pause time.Duration) ([]time.Duration, error) {
	group, ctx := errgroup.WithContext(ctx)
	latencies := make([][]time.Duration, len(callers))
	for i, c := range callers {
		group.Go(func() (err error) {
			latencies[i], err = c.run(ctx, d, pause, maxRequests/len(callers))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err //nolint:wrapcheck // of a caller
	}
	var all []time.Duration
	for _, l := range latencies {
		all = append(all, l...)
	}
	return all, nil
}

// turn is the time under load before the next target's turn. It is short, so that other
// work on the machine hits all targets alike. With pauses it is longer.
const turn = 250 * time.Millisecond

func (p *part) turn() time.Duration { return max(turn, 5*p.pause) }

// load measures the targets under n connections each, one cell per target. It counts
// allocations only before the first turn and after the last, because counting allocates
// as well.
func (p *part) load(ctx context.Context, o options, n int) ([]cell, error) {
	targets := p.targets
	var callers [][]*caller
	for _, t := range targets {
		own, err := t.callers(ctx, n)
		defer hangUp(own)
		if err != nil {
			return nil, err
		}
		callers = append(callers, own)
	}
	if _, err := p.takeTurns(ctx, o.warmup, callers); err != nil {
		return nil, err
	}
	before, err := mallocs(ctx, targets)
	if err != nil {
		return nil, err
	}
	cells, err := p.takeTurns(ctx, o.duration, callers)
	if err != nil {
		return nil, err
	}
	after, err := mallocs(ctx, targets)
	if err != nil {
		return nil, err
	}
	for i := range cells {
		cells[i].mallocs = after[i] - before[i]
	}
	return cells, nil
}

// takeTurns loads each target for d in all. The order changes each time, because two
// turns in a row are cheaper for a process.
func (p *part) takeTurns(ctx context.Context, d time.Duration, callers [][]*caller) ([]cell, error) {
	cells := make([]cell, len(p.targets))
	var order []int
	for i := range p.targets {
		order = append(order, i)
	}
	for ; d > 0; d -= p.turn() {
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] }) //nolint:gosec // not a secret
		for _, i := range order {
			t := p.targets[i]
			before, err := t.process.cpu()
			if err != nil {
				return nil, err
			}
			began := time.Now()
			latencies, err := runAll(ctx, callers[i], min(p.turn(), d), p.pause)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", t.name, err)
			}
			took := time.Since(began)
			after, err := t.process.cpu()
			if err != nil {
				return nil, err
			}
			c := &cells[i]
			c.target, c.connections = t.name, len(callers[i])
			c.took += took
			c.latencies = append(c.latencies, latencies...)
			c.cpu = append(c.cpu, (after-before)/time.Duration(len(latencies)))
		}
	}
	return cells, nil
}

// callers connects n of them to the target. With an error it also returns those already
// connected.
func (t *target) callers(ctx context.Context, n int) ([]*caller, error) {
	requests := requestsTo(t.addr, t.credentials)
	var callers []*caller
	for i := range n {
		c, err := dial(ctx, t.addr)
		if err != nil {
			return callers, err
		}
		c.requests, c.next, c.place = requests, i*len(requests)/n, float64(i)/float64(n)
		callers = append(callers, c)
	}
	return callers, nil
}

func hangUp(callers []*caller) {
	for _, c := range callers {
		if c != nil {
			_ = c.conn.Close()
		}
	}
}

// once asks the target for a single client token.
func (t *target) once(ctx context.Context) error {
	c, err := t.callers(ctx, 1)
	defer hangUp(c)
	if err != nil {
		return err
	}
	if err := c[0].conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return fmt.Errorf("bounding the call: %w", err)
	}
	return c[0].call()
}
