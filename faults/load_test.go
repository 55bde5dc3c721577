//go:build faults

package faults_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// caller asks for client tokens, one by one, on its own kept-alive connections.
type caller struct {
	user    user
	refusal string // the normal answer, as shot.summary formats it; empty: a token
	client  *http.Client
	url     string
	header  http.Header
	body    string

	evidence *evidence // records the answers
}

// shot is one request and its answer.
type shot struct {
	caller       *caller
	began, ended time.Time
	status       int // 0: no answer, which is always a fault
	code         string
	token        string // of a 200
	retryAfter   string
	defect       string // an error in the answer, whatever the fault
}

// summary formats the status and the code for tables.
func (s shot) summary() string { return strings.TrimSpace(fmt.Sprintf("%d %s", s.status, s.code)) }

// bearers returns n callers with bearer tokens, one for each user. One in four is an
// attacker, who asks for another user's Customer.
func (w *world) bearers(p *process, n int) []*caller {
	var callers []*caller
	for i := range n {
		c := &caller{
			user: w.users[i], client: newClient(nil), url: "http://" + p.public + "/client-tokens",
			header: http.Header{"Authorization": {"Bearer " + w.users[i].bearer}}, evidence: w.evidence,
		}
		c.body, c.refusal = w.requestOf(i)
		callers = append(callers, c)
	}
	return callers
}

// mismatch is the answer to attackers.
const mismatch = "403 CustomerMismatch"

// requestOf returns user i's request body, and the refusal to expect. One in four users
// is an attacker and names the previous user's Customer. The others name their own or
// none.
func (w *world) requestOf(i int) (body, refusal string) {
	switch i % 4 {
	case 3:
		return w.reading(w.users[i-1].customer), mismatch
	case 1:
		return `{"action":"customer.read"}`, ""
	default:
		return w.reading(w.users[i].customer), ""
	}
}

func (w *world) reading(customer string) string {
	return fmt.Sprintf(`{"action":"customer.read","_links":{"customer":{"href":"http://%s/customers/%s"}}}`, w.toDwolla.Addr, customer)
}

// newClient returns a browser's client: it keeps cookies and connections.
func newClient(jar *cookiejar.Jar) *http.Client {
	client := &http.Client{
		Transport: &http.Transport{},
		Timeout:   20 * time.Second, // the server must answer long before
	}
	if jar != nil {
		client.Jar = jar
	}
	return client
}

// call sends one request.
func (c *caller) call(ctx context.Context) (s shot) {
	s.caller, s.began = c, time.Now()
	defer func() { s.ended = time.Now() }()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, strings.NewReader(c.body))
	if err != nil {
		s.defect = err.Error()
		return s
	}
	r.Header = c.header.Clone()
	r.Header.Set("Content-Type", "application/json")
	resp, err := c.client.Do(r)
	if err != nil {
		s.defect = "no answer: " + err.Error()
		return s
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.defect = "incomplete answer: " + err.Error()
	}
	s.status, s.retryAfter = resp.StatusCode, resp.Header.Get("Retry-After")
	s.read(resp, body)
	c.evidence.recordAnswer(resp, string(body))
	return s
}

// read checks the answer: a token, or an error in the one shape.
func (s *shot) read(resp *http.Response, body []byte) {
	var answer struct{ Token, Code, Message, RequestID string }
	if err := json.Unmarshal(body, &answer); err != nil {
		s.defect = "not JSON"
		return
	}
	s.token, s.code = answer.Token, answer.Code
	isJSON := strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json")
	retry := s.status == http.StatusServiceUnavailable || s.status == http.StatusTooManyRequests
	switch {
	case !isJSON || resp.Header.Get("Cache-Control") != "no-store":
		s.defect = fmt.Sprintf("%d with Content-Type %q, Cache-Control %q", s.status, resp.Header.Get("Content-Type"), resp.Header.Get("Cache-Control"))
	case s.status == http.StatusOK && s.token == "":
		s.defect = "200 without a token"
	case s.status != http.StatusOK && (s.token != "" || s.code == "" || answer.Message == "" || answer.RequestID == ""):
		s.defect = fmt.Sprintf("%d without the error shape", s.status)
	case retry && s.retryAfter == "":
		s.defect = fmt.Sprintf("%d without Retry-After", s.status)
	}
}

// load is callers in a loop, until stop.
type load struct {
	cancel  context.CancelFunc
	calling sync.WaitGroup

	mu    sync.Mutex
	shots []shot
}

// pace is the minimum time between two requests of a caller.
const pace = 75 * time.Millisecond

// startLoad starts all callers, each with its own ticker. They end with the load or the
// test.
func startLoad(t *testing.T, callers []*caller) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{cancel: cancel}
	t.Cleanup(func() { l.stop() })
	for i, c := range callers {
		l.calling.Go(func() {
			first := time.NewTimer(time.Duration(i) * pace / time.Duration(len(callers)))
			defer first.Stop()
			<-first.C
			tick := time.NewTicker(pace)
			defer tick.Stop()
			for ctx.Err() == nil {
				s := c.call(context.WithoutCancel(ctx)) // the last request may finish, too
				l.mu.Lock()
				l.shots = append(l.shots, s)
				l.mu.Unlock()
				select {
				case <-tick.C:
				case <-ctx.Done():
				}
			}
		})
	}
	return l
}

// soFar returns the finished shots, in the order of their ends.
func (l *load) soFar() []shot {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.shots)
}

// stop ends the load and returns all shots. It may be called twice.
func (l *load) stop() []shot {
	l.cancel()
	l.calling.Wait()
	return l.soFar()
}
