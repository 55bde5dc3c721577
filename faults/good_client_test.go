//go:build faults

package faults_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Limits that hold whatever hostile clients do with their connections.
const (
	maxMemory = 150 // MiB
	calmLimit = 100 * time.Millisecond
	goodEvery = 50 * time.Millisecond
	// stormLimit is the limit while thousands of connections open at once. They share the
	// server's cores, so a new client queues behind them.
	stormLimit = 2 * time.Second
)

// goodClientRequest is one request of the good client. At the same moment it asks the
// control, a small proxy to the same Dwolla without attackers. The control's time is
// the machine's share.
type goodClientRequest struct {
	Began         time.Time
	Kept          bool // on the kept-alive connection
	Took, Control time.Duration
	Fault         string
}

// excesses returns how much longer the service took than the control. It takes the
// slowest of three control answers: a paused machine does not resume all processes at
// once.
func excesses(all []goodClientRequest) []time.Duration {
	var longer []time.Duration
	for i := range all {
		var control time.Duration
		for _, near := range all[max(0, i-1):min(len(all), i+2)] {
			control = max(control, near.Control)
		}
		longer = append(longer, max(0, all[i].Took-control))
	}
	return longer
}

// goodClient is the process of the good client.
type goodClient struct {
	*subprocess

	process *process
}

// goodClientJob is the good client's job.
type goodClientJob struct{ Address, Control, Request string }

// startGoodClient starts a client that asks for a token every goodEvery. It alternates
// between a kept-alive connection and a new one.
func (w *world) startGoodClient(t *testing.T, p *process) goodClient {
	t.Helper()
	request := tokenRequest(p.public, "Authorization: Bearer "+w.users[0].bearer)
	waitFor(t, "a first token", 10*time.Second, func() bool {
		got, err := (&rawClient{address: p.public}).do(request)
		return err == nil && got.token != ""
	})
	var control string
	startSubprocess(t, "control", w.toDwolla.Addr).receive(t, &control)
	g := goodClient{startSubprocess(t, "good client", goodClientJob{p.public, control, request}), p}
	var began time.Time
	g.receive(t, &began)
	return g
}

// runControl is the role of the control.
func runControl(job []byte, end <-chan struct{}, report func(any)) error {
	var dwolla string
	if err := json.Unmarshal(job, &dwolla); err != nil {
		return fmt.Errorf("the job: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // as long as the process
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	report(listener.Addr().String())
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: dwolla})
	}}}
	go func() { _ = server.Serve(listener) }()
	<-end
	return nil
}

// runGoodClient is the role of the good client.
func runGoodClient(job []byte, end <-chan struct{}, report func(any)) error {
	var c goodClientJob
	if err := json.Unmarshal(job, &c); err != nil {
		return fmt.Errorf("the job: %w", err)
	}
	const simple = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	services := []*rawClient{{address: c.Address, keepAlive: true}, {address: c.Address}}
	controls := []*rawClient{{address: c.Control, keepAlive: true}, {address: c.Control}}
	report(time.Now())
	var all []goodClientRequest
	tick := time.NewTicker(goodEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		a := askBoth(services[n%2], controls[n%2], c.Request, simple)
		a.Kept = n%2 == 0
		all = append(all, a)
		select {
		case <-tick.C:
		case <-end:
			report(all)
			return nil
		}
	}
}

// askBoth asks the service and the control at once.
func askBoth(service, control *rawClient, request, simple string) goodClientRequest {
	a := goodClientRequest{Began: time.Now()}
	var asking sync.WaitGroup
	asking.Go(func() {
		if _, err := control.do(simple); err != nil {
			a.Control = 0 // which excuses nothing
			return
		}
		a.Control = time.Since(a.Began)
	})
	got, err := service.do(request)
	a.Took = time.Since(a.Began)
	if err != nil || got.token == "" {
		a.Fault = cmp.Or(got.text, "no answer")
	}
	asking.Wait()
	return a
}

// answers ends the good client, and returns its requests.
func (g goodClient) answers(t *testing.T) []goodClientRequest {
	t.Helper()
	var all []goodClientRequest
	g.finish(t, &all)
	return all
}

// requestsBetween returns the requests that began in a period.
func requestsBetween(all []goodClientRequest, from, to time.Time) []goodClientRequest {
	var some []goodClientRequest
	for _, a := range all {
		if !a.Began.Before(from) && a.Began.Before(to) {
			some = append(some, a)
		}
	}
	return some
}

// checkAnswers checks the good client's answers in a phase. All must be tokens.
// Compared with the control, each must meet the phase's limit, and half of them
// calmLimit.
func checkAnswers(t *testing.T, p *process, during string, all []goodClientRequest, most time.Duration) {
	t.Helper()
	if len(all) < 5 {
		t.Fatalf("the good client made only %[2]d requests during %[1]s", during, len(all))
	}
	var kept, anew, control time.Duration
	var took []time.Duration
	wrong := map[string]int{}
	for _, a := range all {
		if a.Fault != "" {
			wrong[during+": "+a.Fault]++
		}
		if a.Kept {
			kept = max(kept, a.Took)
		} else {
			anew = max(anew, a.Took)
		}
		control, took = max(control, a.Control), append(took, a.Took)
	}
	reportErrors(t, wrong)
	excess := excesses(all)
	slices.Sort(took)
	slices.Sort(excess)
	last := len(all) - 1
	t.Logf("during %s: %d answers to the good client, median %s, 95 %% within %s, the slowest %s on the connection that is kept and %s on new ones, "+
		"%s by the service's own clock; the control's slowest %s, beside which the service took up to %s longer",
		during, len(all), took[len(all)/2], took[len(all)*95/100], kept, anew, p.slowestVend(t, all[0].Began, all[last].Began), control, excess[last])
	// A shared machine may pause the service alone for a moment. So one answer in fifty
	// may take longer, but never longer than stormLimit.
	if excess[last-len(all)/50] > most || excess[last] > stormLimit || excess[len(all)/2] > calmLimit {
		t.Errorf("the good client waited too long during %s: up to %s longer than for the control, median %s longer", during, excess[last], excess[len(all)/2])
	}
}

// slowestVend returns the service's slowest answer to the good client in a period, by
// its access lines.
func (p *process) slowestVend(t *testing.T, from, to time.Time) time.Duration {
	t.Helper()
	var slowest float64
	for line := range strings.Lines(p.stdout.String()) {
		var l struct {
			Time     time.Time
			Log      string
			User     string
			Duration float64 `json:"duration_ms"`
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("a log line is not JSON: %v", err)
		}
		if l.Log == "access" && l.User == userName(0) && !l.Time.Before(from) && l.Time.Before(to.Add(time.Second)) {
			slowest = max(slowest, l.Duration)
		}
	}
	return time.Duration(slowest * float64(time.Millisecond))
}

// checkMemory fails the test if the process ever exceeded maxMemory.
func (p *process) checkMemory(t *testing.T) {
	t.Helper()
	memory := p.peakMemory(t)
	t.Logf("memory: at most %d MiB", memory)
	if memory >= maxMemory {
		t.Errorf("the server used up to %d MiB", memory)
	}
}
