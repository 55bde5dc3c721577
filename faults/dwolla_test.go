//go:build faults

package faults_test

import (
	"cmp"
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"dropgate/internal/dwolla/emulator"
	"dropgate/internal/tcpproxy"
)

// The answers users may get during a fault of Dwolla.
const (
	token       = "200"
	unavailable = "503 Unavailable"
	timedOut    = "504 UpstreamTimeout"
	unusable    = "502 UpstreamError"
)

// dwollaFault is a scenario with a fault of Dwolla.
type dwollaFault struct {
	name    string
	begin   func(w *world)
	end     func(w *world) // nil: mend the proxy and clear Dwolla's faults
	allowed []string
	rare    []string
	seen    []string
	timeout time.Duration // DWOLLA_TIMEOUT; zero: 5 s
	life    time.Duration // of access tokens; zero: an hour
}

// run runs the scenario with a server of its own.
func (f dwollaFault) run(t *testing.T) outcome {
	t.Helper()
	w := newWorldWith(t, emulator.Options{AccessTokenLife: f.life})
	timeout := cmp.Or(f.timeout, 5*time.Second)
	w.settings["DWOLLA_TIMEOUT"] = timeout.String()
	s := scenario{
		fault: f.name, world: w, callers: w.bearers(w.start(t, nil), 16),
		begin:   func() { f.begin(w) },
		end:     func() { w.toDwolla.Heal(); w.dwolla.ClearFaults() },
		allowed: f.allowed, rare: f.rare, seen: f.seen,
		longest: 2*timeout + 3*time.Second, // a retry, and time for a busy machine
	}
	if f.end != nil {
		s.end = func() { f.end(w) }
	}
	return s.run(t)
}

// failProxy injects a fault in the proxy before Dwolla.
func failProxy(f tcpproxy.Fault) func(*world) { return func(w *world) { w.toDwolla.Fail(f) } }

// failDwolla injects a fault in Dwolla's answers to calls for client tokens.
func failDwolla(f emulator.Fault) func(*world) {
	return func(w *world) { w.dwolla.InjectFault(emulator.OpCreateClientToken, f) }
}

// shortTimeout is a DWOLLA_TIMEOUT much shorter than a scenario.
const shortTimeout = time.Second

func dwollaFaults() []dwollaFault {
	return []dwollaFault{
		{
			name: "Dwolla answers late, within the timeout", begin: failProxy(tcpproxy.Fault{Delay: 700 * time.Millisecond}),
			allowed: []string{token}, seen: []string{token},
		},
		{
			name: "Dwolla answers too late", begin: failProxy(tcpproxy.Fault{Delay: 1400 * time.Millisecond}),
			allowed: []string{timedOut, unavailable}, seen: []string{timedOut}, timeout: shortTimeout,
		},
		{
			name: "Dwolla is half-open", begin: failProxy(tcpproxy.Fault{Hang: true}),
			allowed: []string{timedOut, unavailable}, seen: []string{timedOut}, timeout: shortTimeout,
		},
		{
			name: "Dwolla's connections are reset in the middle of a body", begin: failProxy(tcpproxy.Fault{Truncate: 10}),
			allowed: []string{unavailable}, seen: []string{unavailable},
		},
		{
			name: "one in ten of Dwolla's answers is reset", begin: failProxy(tcpproxy.Fault{Truncate: 10, Every: 10}),
			allowed: []string{token, unavailable}, seen: []string{token},
		},
		{
			name: "Dwolla's address answers in another protocol", begin: failProxy(tcpproxy.Fault{Replace: "\x16\x03\x01 220 smtp ready\r\n\r\n"}),
			allowed: []string{unavailable, unusable}, seen: []string{unavailable},
		},
		{
			name: "Dwolla answers 200 with a page of HTML", begin: failDwolla(emulator.Fault{Body: "<html><body>Service temporarily unavailable</body></html>"}),
			allowed: []string{unusable, unavailable}, seen: []string{unusable},
		},
		{
			name: "Dwolla answers 200 with half a body", begin: failDwolla(emulator.Fault{CutMidBody: true}),
			allowed: []string{unavailable}, seen: []string{unavailable},
		},
		{
			name: "Dwolla answers 500", begin: failDwolla(emulator.Fault{Status: http.StatusInternalServerError}),
			allowed: []string{unavailable}, seen: []string{unavailable},
		},
		{
			name:    "Dwolla is down",
			begin:   func(w *world) { w.toDwolla.Stop() },
			allowed: []string{unavailable}, seen: []string{unavailable},
		},
	}
}

// TestDwollaFaultsAreReportedAndHeal runs each fault of Dwolla under load.
func TestDwollaFaultsAreReportedAndHeal(t *testing.T) {
	t.Parallel()
	for _, f := range dwollaFaults() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			if f.name == "Dwolla is down" {
				f.end = func(w *world) { w.toDwolla.Start() }
			}
			f.run(t)
		})
	}
}

// TestGigabyteResponseCostsLittleMemory: the server never reads a response of 1 GiB to
// its end.
func TestGigabyteResponseCostsLittleMemory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(t, nil)
	scenario{
		fault: "Dwolla answers with 1 GiB", world: w, callers: w.bearers(p, 8),
		begin:   func() { failDwolla(emulator.Fault{HugeBody: 1 << 30})(w) },
		end:     w.dwolla.ClearFaults,
		allowed: []string{unusable, unavailable}, seen: []string{unusable},
	}.run(t)
	const most = 150
	got := p.peakMemory(t)
	t.Logf("the server had up to %d MiB", got)
	if got > most {
		t.Errorf("the server used up to %d MiB, want at most %d", got, most)
	}
}

// TestThrottledCallersAreAnsweredAtOnce also counts the calls to Dwolla during its
// Retry-After.
func TestThrottledCallersAreAnsweredAtOnce(t *testing.T) {
	t.Parallel()
	var before int
	o := dwollaFault{
		name: "Dwolla throttles, with Retry-After: 2",
		begin: func(w *world) {
			before = w.dwolla.Calls(emulator.OpCreateClientToken)
			failDwolla(emulator.Fault{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"2"}}})(w)
		},
		end: func(w *world) {
			// Each time the circuit lets one call through, 16 may be in progress.
			if calls := w.dwolla.Calls(emulator.OpCreateClientToken) - before; calls > 40 {
				t.Errorf("Dwolla got %d calls while it throttled, want at most 40", calls)
			}
			w.dwolla.ClearFaults()
		},
		allowed: []string{unavailable}, seen: []string{unavailable},
	}.run(t)
	for _, s := range o.shots {
		if s.summary() == unavailable && s.retryAfter != "1" && s.retryAfter != "2" {
			t.Errorf("Retry-After: %s, want the rest of Dwolla's 2 s", s.retryAfter)
			break
		}
	}
}

// forNewOwner returns a copy of c: it asks for a token for a new beneficial owner of
// its own Customer.
func (w *world) forNewOwner(c *caller) *caller {
	owner := w.dwolla.BeneficialOwner(c.user.customer)
	naming := *c
	naming.body = fmt.Sprintf(`{"action":"beneficialowners.read","_links":{"customer":{"href":"http://%[1]s/customers/%[2]s"},`+
		`"beneficial-owner":{"href":"http://%[1]s/beneficial-owners/%[3]s"}}}`, w.toDwolla.Addr, c.user.customer, owner)
	return &naming
}

// TestThrottleAffectsOneOperationOnly: without a Retry-After, a throttled operation
// stops for five minutes, as Dwolla documents.
func TestThrottleAffectsOneOperationOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	callers := w.bearers(w.start(t, nil), 8)
	w.warmUp(t, callers[0])
	if s := w.forNewOwner(callers[0]).call(t.Context()); s.summary() != token {
		t.Fatalf("answer before the fault: %s %s", s.summary(), s.defect)
	}
	ofOwner := w.forNewOwner(callers[2]) // the owners of this Customer are not cached yet
	w.dwolla.InjectFault(emulator.OpListBeneficialOwners, emulator.Fault{Status: http.StatusTooManyRequests})
	before := w.dwolla.Calls(emulator.OpListBeneficialOwners)
	l := startLoad(t, callers)
	wrong := map[string]int{}
	for range 20 {
		s := ofOwner.call(t.Context())
		if left, err := strconv.Atoi(s.retryAfter); s.summary() != unavailable || s.defect != "" || err != nil || left < 290 || left > 300 {
			wrong[fmt.Sprintf("an owner's token: %s %s, Retry-After %q, want the rest of 5 minutes", s.summary(), s.defect, s.retryAfter)]++
		}
	}
	reportErrors(t, wrong)
	if calls := w.dwolla.Calls(emulator.OpListBeneficialOwners) - before; calls > 2 {
		t.Errorf("Dwolla got %d requests for owners, want at most 2", calls)
	}
	w.checkHealthy(t, l.stop())
}
