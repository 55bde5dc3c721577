//go:build faults && series

package faults_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"dropgate/internal/dwolla/emulator"
	"dropgate/internal/tcpproxy"
)

// seriesRuns are the faults. Each alert that a run of minutes can raise fires in one.
func seriesRuns() []seriesRun {
	const from, to = 3 * time.Minute, 7 * time.Minute
	return []seriesRun{
		{"dwolla-down", "Dwolla refuses connections from 3m to 7m.", from, to, 8, dwollaDown},
		{
			"dwolla-slow", "Dwolla's answers are 0.7 s late from 3m to 7m.", from, to, 8,
			withDwolla(emulator.Fault{Latency: 700 * time.Millisecond}, emulator.OpCreateClientToken),
		},
		{
			"throttled", "Dwolla answers 429 (Retry-After: 60) from 3m to 7m.", from, to, 0,
			withDwolla(emulator.Fault{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"60"}}}, emulator.OpCreateClientToken),
		},
		{"access-token", "Dwolla refuses the secret (401) and all access tokens from 3m to 7m.", from, to, 0, refusedSecret},
		{"quiet", "Dwolla answers 500 from 3m to 13m. A user asks every 20 s: too seldom for a circuit.", from, 13 * time.Minute, 0, quietDwolla},
		{"attack", "Three users ask for the Customers of others from 3m to 7m.", from, to, 0, mismatches},
		{"audit", "Nobody reads the pipe of AUDIT_LOG from 3m to 7m.", from, to, 0, stuckAudit},
		{
			"postgres", "PostgreSQL refuses connections from 3m to 7m.", from, to, 0,
			withPostgres(nil, (*tcpproxy.Proxy).Stop),
		},
		{
			"database-pool", "PostgreSQL answers 0.8 s late from 3m to 7m. DATABASE_MAX_CONNECTIONS is 2.", from, to, 0,
			withPostgres(map[string]string{"DATABASE_MAX_CONNECTIONS": "2"}, delay(800*time.Millisecond)),
		},
		{"redis", "Redis refuses connections of two replicas from 3m to 7m.", from, to, 0, withRedis("", (*tcpproxy.Proxy).Stop)},
		{
			"redis-pool", "Redis answers 0.5 s late from 3m to 7m. The pool has one connection.", from, to, 0,
			withRedis("?pool_size=1", delay(500*time.Millisecond)),
		},
		{
			"provider", "The identity provider refuses connections from 4m to 13m. Users come back from it with a code all the time.",
			4 * time.Minute, 13 * time.Minute, 0, providerDown,
		},
		{"webhooks", "A webhook every 20 s. Dwolla refuses connections from 3m to 12m, so the events wait.", from, 12 * time.Minute, 0, waitingWebhooks},
		{"secret", "The file of DWOLLA_CLIENT_SECRET is empty from 3m to 7m.", from, to, 0, emptySecret},
		{"certificate", "The certificate is valid for 12 hours, and is replaced at 7m.", from, to, 0, oldCertificate},
		{"descriptors", "The limit of descriptors is 96. Dwolla's answers are 4 s late from 3m to 7m, so up to 30 calls wait.", from, to, 0, fewDescriptors},
		{"gone", "The only replica ends at 3m, and starts again at 10m.", from, 10 * time.Minute, 0, gone},
	}
}

// honest returns n callers with bearer tokens, without attackers.
func (w *world) honest(p *process, n int) []*caller {
	all := slices.DeleteFunc(w.bearers(p, min(2*n, users)), func(c *caller) bool { return c.refusal != "" })
	return all[:n]
}

// withBearers is a replica whose callers have bearer tokens.
func (w *world) withBearers(t *testing.T, changes map[string]string) *system {
	t.Helper()
	p := w.start(t, changes)
	s := &system{replicas: []*process{p}, callers: w.honest(p, 6)}
	w.warmUp(t, s.callers[0])
	return s
}

func delay(by time.Duration) func(*tcpproxy.Proxy) {
	return func(p *tcpproxy.Proxy) { p.Fail(tcpproxy.Fault{Delay: by}) }
}

func dwollaDown(t *testing.T, w *world) *system {
	t.Helper()
	s := w.withBearers(t, nil)
	s.begin, s.end = w.toDwolla.Stop, w.toDwolla.Start
	return s
}

// withDwolla gives operations of Dwolla a fault.
func withDwolla(f emulator.Fault, operations ...emulator.Operation) func(*testing.T, *world) *system {
	return func(t *testing.T, w *world) *system {
		t.Helper()
		s := w.withBearers(t, nil)
		s.begin = func() {
			for _, operation := range operations {
				w.dwolla.InjectFault(operation, f)
			}
		}
		s.end = w.dwolla.ClearFaults
		return s
	}
}

func refusedSecret(t *testing.T, w *world) *system {
	t.Helper()
	s := withDwolla(emulator.Fault{Status: http.StatusUnauthorized}, emulator.OpToken)(t, w)
	refuse := s.begin
	s.begin = func() {
		refuse()
		w.dwolla.RevokeAccessTokens()
	}
	return s
}

func quietDwolla(t *testing.T, w *world) *system {
	t.Helper()
	s := withDwolla(emulator.Fault{Status: http.StatusInternalServerError}, emulator.OpCreateClientToken)(t, w)
	s.callers, s.every = s.callers[:1], 20*time.Second/speed
	return s
}

func mismatches(t *testing.T, w *world) *system {
	t.Helper()
	s := w.withBearers(t, nil)
	attackers := slices.DeleteFunc(w.bearers(s.replicas[0], 12), func(c *caller) bool { return c.refusal == "" })
	var stop func()
	s.begin = func() { stop = (&system{callers: attackers}).call(t) }
	s.end = func() { stop() }
	return s
}

func stuckAudit(t *testing.T, w *world) *system {
	t.Helper()
	to := newSink(t)
	s := w.withBearers(t, map[string]string{"AUDIT_LOG": to.path})
	s.begin, s.end = func() { to.setPaused(true) }, func() { to.setPaused(false) }
	return s
}

// withPostgres is a replica with a directory in PostgreSQL, and with a fault before it.
func withPostgres(changes map[string]string, fail func(*tcpproxy.Proxy)) func(*testing.T, *world) *system {
	return func(t *testing.T, w *world) *system {
		t.Helper()
		w.withPostgres(t)
		s := w.withBearers(t, changes)
		s.begin, s.end = func() { fail(w.toPostgres) }, func() { healStore(w.toPostgres) }
		return s
	}
}

// withRedis is two replicas with sessions in Redis, and with a fault before it.
func withRedis(options string, fail func(*tcpproxy.Proxy)) func(*testing.T, *world) *system {
	return func(t *testing.T, w *world) *system {
		t.Helper()
		w.withRedis(t, sharedRedis(t))
		at := newSite(t, w, 2, map[string]string{"REDIS_URL": w.settings["REDIS_URL"] + options})
		s := &system{replicas: at.processes, begin: func() { fail(w.toRedis) }, end: func() { healStore(w.toRedis) }}
		for _, i := range []int{0, 1, 2, 4, 5, 6} { // no attackers
			s.callers = append(s.callers, at.caller(t, i))
		}
		return s
	}
}

func waitingWebhooks(t *testing.T, w *world) *system {
	t.Helper()
	w.withPostgres(t)
	secret := w.secret("DWOLLA_WEBHOOK_SECRET")
	s := w.withBearers(t, map[string]string{"DWOLLA_WEBHOOK_SECRET": secret})
	if err := w.dwolla.Subscribe("http://"+s.replicas[0].public+"/webhooks/dwolla", secret); err != nil {
		t.Fatal(err)
	}
	turn := 0
	t.Cleanup(repeat(20*time.Second/speed, func() {
		turn++
		status := "verified"
		if turn/10%2 == 0 {
			status = "suspended"
		}
		w.dwolla.SetStatus(customerID(20+turn%10), status)
	}))
	s.begin, s.end = w.toDwolla.Stop, w.toDwolla.Start
	return s
}

func gone(t *testing.T, w *world) *system {
	t.Helper()
	s := &system{replicas: []*process{w.start(t, nil)}}
	s.begin = func() { s.replicas[0].stop(t) }
	s.end = func() { s.replicas[0] = w.start(t, nil) }
	return s
}

func emptySecret(t *testing.T, w *world) *system {
	t.Helper()
	r := newRotation(t, w, w.settings, map[string]string{"DWOLLA_CLIENT_SECRET": w.settings["DWOLLA_CLIENT_SECRET"]})
	good := r.volume.files["DWOLLA_CLIENT_SECRET"]
	s := w.withBearers(t, nil)
	s.begin = func() { r.volume.put(t, "DWOLLA_CLIENT_SECRET", "") }
	s.end = func() { r.volume.put(t, "DWOLLA_CLIENT_SECRET", good) }
	return s
}
