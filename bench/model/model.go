package main

import (
	"fmt"
	"math"
	"strings"
)

// scenario is one set of assumptions about users and machines.
type scenario struct {
	name string

	users, active, sessions, vends, peak, stay float64 // behavior
	answer, target                             float64 // Dwolla's time in seconds, and the share of a core in use
	vendCPU, redisCPU, postgresCPU             float64 // microseconds per vend
	sessionBytes, linkBytes                    float64
}

// Limits and measurements of each replica; docs/scaling.md has their sources.
const (
	slotsPerReplica       = 256 // DWOLLA_MAX_CONCURRENT
	connectionsPerReplica = 16  // to PostgreSQL at most
	transactionsPerVend   = 2   // with CUSTOMER_CACHE=0s
	idleTransactions      = 8   // a second
	leastReplicas         = 2
	spareReplicas         = 1
	surgeReplicas         = 1
)

func scenarios() []scenario {
	expected := scenario{
		name:  "expected",
		users: 10e6, active: 0.1, sessions: 1, vends: 8, peak: 5, stay: 25,
		answer: 0.3, target: 0.6,
		vendCPU: 1200, redisCPU: 140, postgresCPU: 300,
		sessionBytes: 4800, linkBytes: 630,
	}
	quiet, extreme := expected, expected
	quiet.name, quiet.active, quiet.vends, quiet.peak = "quiet", 0.02, 5, 3
	extreme.name, extreme.active, extreme.vends, extreme.peak = "extreme", 0.3, 20, 10
	return []scenario{quiet, expected, extreme}
}

// assumption is a number that readers can replace.
type assumption struct {
	flag, name, sign string
	of               func(*scenario) *float64
}

func assumptions() []assumption {
	return []assumption{
		{"users", "users", "U", func(s *scenario) *float64 { return &s.users }},
		{"active", "share of users active in a day", "A", func(s *scenario) *float64 { return &s.active }},
		{"sessions", "sessions of an active user in a day", "S", func(s *scenario) *float64 { return &s.sessions }},
		{"vends", "vends in a session", "V", func(s *scenario) *float64 { return &s.vends }},
		{"peak", "busiest second compared with the mean", "P", func(s *scenario) *float64 { return &s.peak }},
		{"stay", "minutes that a session stays in Redis", "M", func(s *scenario) *float64 { return &s.stay }},
		{"answer", "seconds until Dwolla answers", "D", func(s *scenario) *float64 { return &s.answer }},
		{"target", "share of its core that a replica uses at most", "T", func(s *scenario) *float64 { return &s.target }},
		{"vend-cpu", "µs of a replica for a vend", "C", func(s *scenario) *float64 { return &s.vendCPU }},
		{"redis-cpu", "µs of Redis for a vend", "R", func(s *scenario) *float64 { return &s.redisCPU }},
		{"postgres-cpu", "µs of PostgreSQL for a vend without a cache", "Q", func(s *scenario) *float64 { return &s.postgresCPU }},
		{"session-bytes", "bytes of a session in Redis", "B", func(s *scenario) *float64 { return &s.sessionBytes }},
		{"link-bytes", "bytes of a link in PostgreSQL", "L", func(s *scenario) *float64 { return &s.linkBytes }},
	}
}

const day = 24 * 60 * 60 // seconds

// perSecond is the number of vends in the busiest second.
func (s scenario) perSecond() float64 {
	return s.users * s.active * s.sessions * s.vends / day * s.peak
}

// replicas is their number with one core each, and one more as a spare.
func (s scenario) replicas() float64 {
	return max(leastReplicas, math.Ceil(s.perSecond()*s.vendCPU/1e6/s.target)+spareReplicas)
}

// alive is the number of sessions in Redis in the busiest minutes.
func (s scenario) alive() float64 {
	return s.users * s.active * s.sessions / day * s.peak * s.stay * 60
}

// result is a row of the estimate.
type result struct {
	name, formula, unit string
	digits              int
	value               float64
}

func (s scenario) results() []result {
	v, n := s.perSecond(), s.replicas()
	return []result{
		{"vends in a day", "U × A × S × V", "", 0, s.users * s.active * s.sessions * s.vends},
		{"vends a second, mean", "U × A × S × V / 86 400", "", 0, v / s.peak},
		{"vends a second at the peak: v", "mean × P", "", 0, v},
		{"cores of all replicas", "v × C / 10⁶", "", 1, v * s.vendCPU / 1e6},
		{"replicas with one core each: N", "cores / T, rounded up, + 1; at least 2", "", 0, n},
		{"calls to Dwolla at a time", "v × D", "", 0, v * s.answer},
		{"slots for them", "N × 256", "", 0, n * slotsPerReplica},
		{"core of Redis in use", "v × R / 10⁶", " %", 0, v * s.redisCPU / 1e4},
		{"sessions in Redis", "U × A × S / 86 400 × P × M × 60", "", 0, s.alive()},
		{"memory of Redis for sessions", "sessions × B", " GB", 2, s.alive() * s.sessionBytes / 1e9},
		{"transactions a second, without a cache", "v × 2 + N × 8", "", 0, v*transactionsPerVend + n*idleTransactions},
		{"cores of PostgreSQL, without a cache", "v × Q / 10⁶", "", 1, v * s.postgresCPU / 1e6},
		{"connections to PostgreSQL at most", "(N + 1) × 16", "", 0, (n + surgeReplicas) * connectionsPerReplica},
		{"disk of PostgreSQL for links", "U × L", " GB", 1, s.users * s.linkBytes / 1e9},
	}
}

// table prints assumptions and results in Markdown.
func table(scenarios []scenario) string {
	var t strings.Builder
	row := func(name, formula string, cells []string) {
		_, _ = fmt.Fprintf(&t, "| %s | %s | %s |\n", name, formula, strings.Join(cells, " | "))
	}
	var names, rules []string
	for _, s := range scenarios {
		names, rules = append(names, s.name), append(rules, "--:")
	}
	row("", "", names)
	row("---", "---", rules)
	for _, a := range assumptions() {
		var cells []string
		for _, s := range scenarios {
			cells = append(cells, number(*a.of(&s), 2))
		}
		row(a.name, a.sign, cells)
	}
	for i, r := range scenarios[0].results() {
		var cells []string
		for _, s := range scenarios {
			of := s.results()[i]
			cells = append(cells, "**"+number(math.Round(of.value*math.Pow10(of.digits))/math.Pow10(of.digits), of.digits)+of.unit+"**")
		}
		row(r.name, r.formula, cells)
	}
	return t.String()
}

// number formats with spaces between thousands, and without trailing zeros.
func number(n float64, digits int) string {
	whole, fraction, _ := strings.Cut(fmt.Sprintf("%.*f", digits, n), ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + " " + whole[i:]
	}
	if fraction = strings.TrimRight(fraction, "0"); fraction != "" {
		return whole + "." + fraction
	}
	return whole
}
