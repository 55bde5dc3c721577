//go:build faults

package faults_test

import (
	"net/http"
	"testing"
	"time"

	"dropgate/internal/tcpproxy"
)

// TestBearerTokensOutliveTheProvider: the server already has the provider's keys.
func TestBearerTokensOutliveTheProvider(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(*tcpproxy.Proxy){
		"the identity provider is down":      (*tcpproxy.Proxy).Stop,
		"the identity provider is half-open": func(p *tcpproxy.Proxy) { p.Fail(tcpproxy.Fault{Hang: true}) },
		"the identity provider is slow":      func(p *tcpproxy.Proxy) { p.Fail(tcpproxy.Fault{Delay: 2 * time.Second}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			scenario{
				fault: name + ", with bearer tokens", world: w, callers: w.bearers(w.start(t, nil), 16),
				begin:   func() { begin(w.toProvider) },
				end:     func() { healStore(w.toProvider) },
				allowed: []string{token}, seen: []string{token},
			}.run(t)
		})
	}
}

// TestLateProviderIsFoundAtOnce sends no request meanwhile. Until the provider answers,
// the replica is not ready, so a rollout keeps the old replicas.
func TestLateProviderIsFoundAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.toProvider.Stop()
	p := w.start(t, nil)
	began := time.Now()
	waitFor(t, "the keys in /readyz", 5*time.Second, func() bool {
		status, missing := p.readiness(t)
		return status == http.StatusServiceUnavailable && len(missing) == 1 && missing[0].What == "identity provider keys"
	})
	caller := w.bearers(p, 1)[0]
	during := caller.call(t.Context())
	if during.summary() != unavailable || during.defect != "" {
		t.Errorf("a user got %s %s, want 503", during.summary(), during.defect)
	}
	const fault = "the identity provider starts 5 s late"
	sign := signs()[fault]
	waitFor(t, "the signs of the fault", time.Minute, func() bool {
		return sign.metric.shows(nil, p.scrape(t)) && countLines(p.lines(t, 0), sign.line) == 1
	})
	seenAfter := time.Since(began)
	<-time.After(5 * time.Second) // the provider's delay, not a wait
	w.toProvider.Start()
	came := time.Now()
	waitFor(t, "readiness", time.Second, func() bool { status, _ := p.readiness(t); return status == http.StatusOK })
	first := caller.call(t.Context())
	found := time.Since(came)
	if first.summary() != token || found > time.Second {
		t.Errorf("%v after the provider's start a user got %s", found, first.summary())
	}
	waitFor(t, "the end of the signs", 10*time.Second, func() bool {
		return !sign.metric.shows(nil, p.scrape(t)) && countLines(p.lines(t, 0), sign.ends) == 1
	})
	results.add(fault, outcome{
		seenAfter: seenAfter,
		during:    map[string]int{during.summary(): 1}, slowest: during.ended.Sub(during.began), firstGood: found, allGood: found, tokens: 1,
	})
	w.toProvider.Stop()
	if status, _ := p.readiness(t); status != http.StatusOK {
		t.Errorf("/readyz after the provider stopped again: %d, want 200", status)
	}
}

// TestProviderOutageStopsOnlySignIns: signed-in users continue. A sign-in fails with
// Retry-After and succeeds later.
func TestProviderOutageStopsOnlySignIns(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(*tcpproxy.Proxy){
		"the identity provider is down":      (*tcpproxy.Proxy).Stop,
		"the identity provider is half-open": func(p *tcpproxy.Proxy) { p.Fail(tcpproxy.Fault{Hang: true}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.withRedis(t, sharedRedis(t))
			s := newSite(t, w, 2, nil)
			callers := s.signInAll(t, 12)
			signingIn := s.browser(t)
			callback := signingIn.authorize(t, userName(30))
			scenario{
				fault: name + ", with sessions", world: w, callers: callers,
				begin: func() {
					begin(w.toProvider)
					p := signingIn.open(t, http.MethodGet, callback, "")
					if p.status != http.StatusServiceUnavailable || p.header.Get("Retry-After") == "" {
						t.Errorf("sign-in: %d, Retry-After %q, want 503 with Retry-After", p.status, p.header.Get("Retry-After"))
					}
				},
				end:     func() { healStore(w.toProvider) },
				allowed: []string{token}, seen: []string{token},
			}.run(t)
			waitFor(t, "a sign-in", 15*time.Second, func() bool {
				return s.browser(t).signIn(t, userName(30)).status == http.StatusOK
			})
		})
	}
}
