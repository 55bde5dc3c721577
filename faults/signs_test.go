//go:build faults

package faults_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// sign is what shows an operator a fault, within a minute: a metric and a line of the log.
type sign struct {
	metric condition
	line   signLine
	ends   signLine // the line about the end of the fault, if the test waits for it
	also   []signLine
	// oneServer: only one of several servers notices the fault.
	oneServer bool
	// unnoticed says why there is no sign. It is for faults that users do not notice.
	unnoticed string
}

// condition is a condition on the metrics of a server, now and before the fault.
type condition struct {
	text  string // for the table
	shows func(before, now metrics) bool
}

// metrics are the values of all series of a server, by name and labels.
type metrics map[string]float64

// is returns a condition: a gauge has a value.
func is(series string, value float64) condition {
	return condition{fmt.Sprintf("`%s` is %v", series, value), func(_, now metrics) bool {
		got, exists := now[series]
		return exists && got == value
	}}
}

// atLeast is true while a gauge is not lower than a value.
func atLeast(series string, value float64) condition {
	return condition{fmt.Sprintf("`%s` is %v or more", series, value), func(_, now metrics) bool { return now[series] >= value }}
}

// fewErrors is how much a counter must grow. A single error may have other causes.
const fewErrors = 3

// grows is true once a counter has grown.
func grows(series string) condition { return growsBy(series, fewErrors) }

func growsBy(series string, by float64) condition {
	return condition{fmt.Sprintf("`%s` grows", series), func(before, now metrics) bool { return now[series]-before[series] >= by }}
}

// slower is true once a histogram has some more observations above a bound.
func slower(name, labels, bound string) condition {
	above := func(m metrics) float64 {
		return m[name+"_count{"+labels+"}"] - m[name+"_bucket{"+labels+`,le="`+bound+`"}`]
	}
	return condition{fmt.Sprintf("`%s{%s}` above %s s grows", name, labels, bound), func(before, now metrics) bool {
		return above(now)-above(before) >= fewErrors
	}}
}

// signLine is a line of the log. Each part is name=value, or name~part for a part of a value.
type signLine struct {
	level, message string
	parts          []string
}

func line(level, message string, parts ...string) signLine { return signLine{level, message, parts} }

func (l signLine) matches(fields map[string]any) bool {
	if fields["level"] != l.level || l.message != "" && fields["message"] != l.message {
		return false
	}
	for _, part := range l.parts {
		name, want, exact := strings.Cut(part, "=")
		got := ""
		if !exact {
			name, want, _ = strings.Cut(part, "~")
		}
		if value, exists := fields[name]; exists {
			got = fmt.Sprint(value)
		}
		if exact && got != want || !strings.Contains(got, want) {
			return false
		}
	}
	return true
}

func (l signLine) String() string {
	text := l.level
	if l.message != "" {
		text += " “" + l.message + "”"
	}
	for _, part := range l.parts {
		name, value, found := strings.Cut(part, "=")
		if !found {
			name, value, _ = strings.Cut(part, "~")
			value = "…" + value + "…"
		}
		text += ", " + name + ": " + value
	}
	return text
}

// cell is the text of the table.
func (s sign) cell(after time.Duration) string {
	if s.unnoticed != "" {
		return "none: users do not notice"
	}
	return fmt.Sprintf("%s; %s (after %.1f s)", s.metric.text, s.line, after.Seconds())
}

// scrape reads the metrics of a server.
func (p *process) scrape(t *testing.T) metrics {
	t.Helper()
	status, text := p.getAdmin(t, "/metrics")
	if status != http.StatusOK {
		t.Errorf("/metrics: %d", status)
	}
	all := metrics{}
	for l := range strings.Lines(text) {
		series, value, _ := strings.Cut(strings.TrimSpace(l), "} ")
		if strings.HasPrefix(l, "#") {
			continue
		}
		if value == "" {
			series, value, _ = strings.Cut(series, " ")
		} else {
			series += "}"
		}
		if number, err := strconv.ParseFloat(value, 64); err == nil {
			all[series] = number
		}
	}
	return all
}

// lines returns the lines that a server has logged since a moment, given as the length of
// its output then. It leaves out the audit trail.
func (p *process) lines(t *testing.T, since int) (all []map[string]any) {
	t.Helper()
	for l := range strings.Lines(p.stdout.String()[since:]) {
		if !strings.HasSuffix(l, "\n") {
			continue // it is not complete yet
		}
		var fields map[string]any
		if err := json.Unmarshal([]byte(l), &fields); err != nil {
			t.Errorf("the log line %s: %v", l, err)
		} else if fields["log"] != "audit" {
			all = append(all, fields)
		}
	}
	return all
}

func countLines(all []map[string]any, which signLine) (n int) {
	for _, fields := range all {
		if which.matches(fields) {
			n++
		}
	}
	return n
}

// watch follows the signs of a scenario's fault.
type watch struct {
	sign
	servers []watchedServer
}

// watchedServer is a server and its state before the fault.
type watchedServer struct {
	*process

	before metrics
	logged int // the length of its output
}

// newWatch notes the state before the fault. A sign that is already there names nothing.
func newWatch(t *testing.T, s scenario) *watch {
	t.Helper()
	w := &watch{sign: signs()[s.fault]}
	if w.line.level == "" && w.unnoticed == "" {
		t.Fatalf("signs has no entry for the fault %q", s.fault)
	}
	for _, p := range s.world.started {
		server := watchedServer{p, p.scrape(t), len(p.stdout.String())}
		w.servers = append(w.servers, server)
		if w.unnoticed != "" {
			continue
		}
		waitFor(t, "a moment without "+w.metric.text, signsWithin, func() bool { return !w.metric.shows(nil, p.scrape(t)) })
		if n := countLines(p.lines(t, 0), w.line); n > 0 {
			t.Errorf("the log had %d times %s before the fault", n, w.line)
		}
	}
	return w
}

// seen reports whether the signs are there.
func (w *watch) seen(t *testing.T) bool {
	t.Helper()
	found := 0
	for _, server := range w.servers {
		if w.metric.shows(server.before, server.scrape(t)) && countLines(server.lines(t, server.logged), w.line) > 0 {
			found++
		}
	}
	return found == len(w.servers) || w.oneServer && found > 0
}

// signsWithin is the time until an operator must see a fault.
const signsWithin = time.Minute

// await waits until the fault has lasted long enough and its signs have been seen. It
// returns when they were first seen.
func (w *watch) await(t *testing.T, during time.Duration) (after time.Duration) {
	t.Helper()
	began := time.Now()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for seen := w.unnoticed != ""; ; <-tick.C {
		took := time.Since(began)
		if !seen && w.seen(t) {
			seen, after = true, time.Since(began)
		}
		switch {
		case seen && took >= during:
			return after
		case took >= signsWithin:
			w.report(t)
			return took
		}
	}
}

// report fails the test, and says what an operator sees instead.
func (w *watch) report(t *testing.T) {
	t.Helper()
	for _, server := range w.servers {
		t.Errorf("within %s the metrics say %t (%s), and the log has %d times %s; its warnings: %q", signsWithin,
			w.metric.shows(server.before, server.scrape(t)), w.metric.text, countLines(server.lines(t, server.logged), w.line), w.line,
			warnings(server.lines(t, server.logged)))
	}
}

// warnings returns the lines for an operator, other than those about single requests.
func warnings(all []map[string]any) (found []map[string]any) {
	for _, fields := range all {
		if level := fields["level"]; (level == "warn" || level == "error") && fields["log"] != "access" {
			found = append(found, fields)
		}
	}
	return found
}

// ambient are lines that are true on a busy machine, whatever the fault.
func ambient() []signLine {
	return []signLine{line("warn", "a dependency answers late"), line("warn", "Dwolla answers late")}
}

func containsLine(some []signLine, fields map[string]any) bool {
	return slices.ContainsFunc(some, func(l signLine) bool { return l.matches(fields) })
}

// checkEnd fails the test unless each server has logged the fault once and its end once,
// however many requests and workers noticed it.
func (w *watch) checkEnd(t *testing.T) {
	t.Helper()
	if w.ends.level != "" {
		waitFor(t, "the line "+w.ends.String(), 30*time.Second, func() bool {
			return slices.ContainsFunc(w.servers, func(s watchedServer) bool { return countLines(s.lines(t, s.logged), w.ends) > 0 })
		})
	}
	for _, server := range w.servers {
		w.checkLines(t, server.lines(t, server.logged))
	}
}

// checkLines checks the lines of one server since the beginning of the fault.
func (w *watch) checkLines(t *testing.T, all []map[string]any) {
	t.Helper()
	for _, fields := range warnings(all) {
		if !w.line.matches(fields) && !containsLine(w.also, fields) && !containsLine(ambient(), fields) {
			t.Errorf("the fault has another line: %v", fields)
		}
	}
	if w.line.message == "" { // an access line
		return
	}
	if n := countLines(all, w.line); n > 1 || n == 0 && !w.oneServer && w.unnoticed == "" {
		t.Errorf("the log has %d times %s, want once", n, w.line)
	}
	if n := countLines(all, w.ends); w.ends.level != "" && n > 1 {
		t.Errorf("the log has %d times %s, want once", n, w.ends)
	}
}
