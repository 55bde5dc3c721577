//go:build faults

package faults_test

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// document returns the text of a page in docs.
func document(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../docs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestEveryFaultDeclaresMetricAndLine: each row of the table has both, or a reason for
// none. Scenarios without signs fail by themselves.
func TestEveryFaultDeclaresMetricAndLine(t *testing.T) {
	t.Parallel()
	metricNames := document(t, "metrics.md")
	_, rows, _ := strings.Cut(document(t, "faults.md"), tableHead)
	rows, _, _ = strings.Cut(rows, "\n\n")
	for fault, s := range signs() {
		if !strings.Contains(rows, "| "+fault+" |") {
			t.Errorf("docs/faults.md has no row for %q", fault)
		}
		if s.unnoticed != "" {
			continue
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(s.metric.text, "`"), "{")
		if !strings.Contains(metricNames, "`"+name+"`") {
			t.Errorf("%s: docs/metrics.md has no %s", fault, name)
		}
		if s.line.level == "" || s.line.message == "" && len(s.line.parts) == 0 || s.metric.shows == nil {
			t.Errorf("%s: the metric is %q, the line %q", fault, s.metric.text, s.line)
		}
	}
	if got, want := strings.Count(rows, "\n"), len(signs()); got != want { // the first line is the ruler
		t.Errorf("docs/faults.md has %d rows, want %d", got, want)
	}
}

// systemOf names what a fault is about.
func systemOf(fault string) string {
	for system, word := range map[string]string{
		"PostgreSQL": "PostgreSQL", "Redis": "Redis", "the application": "application", "audit": "audit", "the provider": "identity provider",
		"access tokens": "token",
	} {
		if strings.Contains(fault, word) {
			return system
		}
	}
	return "Dwolla"
}

// TestSignsTellSystemsApart: an operator knows from the line alone which system fails.
func TestSignsTellSystemsApart(t *testing.T) {
	t.Parallel()
	systems := map[string]map[string]bool{}
	for fault, s := range signs() {
		if s.unnoticed != "" {
			continue
		}
		if systems[s.line.String()] == nil {
			systems[s.line.String()] = map[string]bool{}
		}
		systems[s.line.String()][systemOf(fault)] = true
	}
	for line, of := range systems {
		if len(of) > 1 {
			t.Errorf("the line %s is about %q", line, slices.Collect(maps.Keys(of)))
		}
	}
}

// TestSignsNeedTheFault: no sign is there in a log and in metrics without faults, and each
// check can fail.
func TestSignsNeedTheFault(t *testing.T) {
	t.Parallel()
	counter := metrics{"a_total": 5, "h_count{a=\"b\"}": 9, `h_bucket{a="b",le="0.5"}`: 6, "up": 0}
	for name, test := range map[string]struct {
		condition   condition
		before, now metrics
		want        bool
	}{
		"a counter that grew":        {grows("a_total"), metrics{"a_total": 2}, counter, true},
		"a counter that grew little": {grows("a_total"), metrics{"a_total": 3}, counter, false},
		"a counter that stands":      {grows("a_total"), counter, counter, false},
		"no such counter":            {grows("b_total"), counter, counter, false},
		"slow calls":                 {slower("h", `a="b"`, "0.5"), nil, counter, true},
		"no more slow calls":         {slower("h", `a="b"`, "0.5"), counter, counter, false},
		"down":                       {is("up", 0), nil, counter, true},
		"up":                         {is("up", 1), nil, counter, false},
		"no such gauge":              {is("none", 0), nil, counter, false},
		"enough":                     {atLeast("a_total", 5), nil, counter, true},
		"too little":                 {atLeast("a_total", 6), nil, counter, false},
	} {
		if got := test.condition.shows(test.before, test.now); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
	fields := map[string]any{"level": "warn", "message": "m", "missing": "database", "reason": "postgres: timed out"}
	for name, test := range map[string]struct {
		line signLine
		want bool
	}{
		"the same":      {line("warn", "m", "missing=database", "reason~timed"), true},
		"any message":   {line("warn", ""), true},
		"another level": {line("error", "m"), false},
		"another text":  {line("warn", "n"), false},
		"another value": {line("warn", "m", "missing=data"), false},
		"another part":  {line("warn", "m", "reason~refused"), false},
		"no such field": {line("warn", "m", "found=database"), false},
	} {
		if got := test.line.matches(fields); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
