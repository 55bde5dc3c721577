//go:build faults && series

package faults_test

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	rulesFile   = "../deploy/prometheus/rules/dropgate.yml"
	seriesTests = "../deploy/prometheus/tests/"
)

// recording has the samples of a run.
type recording struct {
	began   time.Time
	metrics map[string]bool // that rules use
	steps   int
	series  map[string][]float64 // NaN: no sample
}

func newRecording(t *testing.T) *recording {
	t.Helper()
	rules, err := os.ReadFile(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	r := &recording{began: time.Now(), metrics: map[string]bool{}, series: map[string][]float64{}}
	for _, name := range regexp.MustCompile(`\b(dropgate|go_sql|process)_\w+`).FindAllString(string(rules), -1) {
		r.metrics[name] = true
	}
	return r
}

// scrape reads the metrics of a replica that the rules use.
func (r *recording) scrape(t *testing.T, instance string, p *process) {
	t.Helper()
	status, text := p.getAdmin(t, "/metrics")
	if status != http.StatusOK {
		t.Errorf("/metrics: %d", status)
	}
	target := fmt.Sprintf(`{instance=%q,job="dropgate",`, instance)
	for line := range strings.Lines(text) {
		end := strings.LastIndexByte(line, ' ')
		name, labels, _ := strings.Cut(line[:max(end, 0)], "{")
		if !r.metrics[name] || !wanted(name, labels) {
			continue
		}
		number, err := strconv.ParseFloat(strings.TrimSpace(line[end+1:]), 64)
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		series := strings.Replace(name+target+labels+"}", ",}", "}", 1)
		if labels != "" {
			series = name + target + labels
		}
		for len(r.series[series]) < r.steps {
			r.series[series] = append(r.series[series], math.NaN())
		}
		r.series[series] = append(r.series[series], r.relative(name, number))
	}
}

// wanted reports whether the rules select the series. They have one route and one bucket.
func wanted(name, labels string) bool {
	return (!strings.HasPrefix(name, "dropgate_http_") || strings.Contains(labels, `/client-tokens"`)) &&
		(!strings.HasSuffix(name, "_bucket") || strings.Contains(labels, `le="0.5"`))
}

// relative converts times to those of a test of rules. It begins at the time 0, and its
// clock is faster. How long a certificate is valid is no matter of that clock.
func (r *recording) relative(name string, value float64) float64 {
	since := value - float64(r.began.UnixMilli())/1000
	switch {
	case strings.Contains(name, "_expiry_timestamp"), strings.HasSuffix(name, "_timestamp_seconds") && value == 0:
		return round(since)
	case strings.HasSuffix(name, "_timestamp_seconds"):
		return round(since * speed)
	case strings.HasSuffix(name, "_oldest_seconds"), regexp.MustCompile(`_wait_\w*seconds_total$`).MatchString(name):
		return round(value * speed)
	}
	return round(value)
}

func round(value float64) float64 { return math.Round(value*1000) / 1000 }

// write replaces everything before the expectations of a file.
func (r *recording) write(t *testing.T, run seriesRun, revision string) {
	t.Helper()
	const expectations = "    promql_expr_test:\n"
	old, err := os.ReadFile(seriesTests + run.name + ".yml")
	_, expected, found := strings.Cut(string(old), expectations)
	if err != nil || !found {
		t.Errorf("%s.yml has no expectations yet: write them by hand", run.name)
	}
	var b strings.Builder
	b.WriteString(run.head(revision))
	for _, name := range slices.Sorted(maps.Keys(r.series)) {
		values := r.series[name]
		for len(values) < r.steps {
			values = append(values, math.NaN())
		}
		if !r.says(run, name, values) {
			continue
		}
		fmt.Fprintf(&b, "      - series: '%s'\n        values: '%s'\n", name, strings.TrimSpace(shorten(values)+run.invent(name, values)))
	}
	b.WriteString(expectations + expected)
	if err := os.WriteFile(seriesTests+run.name+".yml", []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

// says reports whether a series can matter to a rule.
func (r *recording) says(run seriesRun, name string, values []float64) bool {
	if strings.HasPrefix(name, "process_") || strings.HasPrefix(name, "dropgate_connections_") {
		return run.name == "descriptors"
	}
	if strings.HasPrefix(name, "dropgate_build_info") || strings.Contains(name, "_timestamp_seconds") {
		return true
	}
	return slices.ContainsFunc(values, func(v float64) bool { return v != values[0] && !math.IsNaN(v) })
}

// head is the first part of a file.
func (run seriesRun) head(revision string) string {
	lines := []string{
		fmt.Sprintf("Written by `make alert-series` from a real run of %s: the server of commit", time.Now().UTC().Format(time.DateOnly)),
		fmt.Sprintf("%s with the emulator, the demo provider, Redis and PostgreSQL of the fault suite.", revision),
		fmt.Sprintf("The run read the metrics every %s, and the test has them every %s: in the test, time", step/speed, step),
		fmt.Sprintf("passes %d times as fast, also for calls that wait. Timestamps are relative to the start.", speed),
		"Series that never moved are left out. People wrote the expectations at the end.",
		"",
		run.what,
	}
	if run.hours > 0 {
		lines = append(lines, fmt.Sprintf("After %s the series are invented, because the windows of some alerts are long: they", length),
			fmt.Sprintf("continue for %d hours as in the last five minutes.", run.hours))
	}
	evaluation := step
	if run.hours > 0 {
		evaluation *= 2 // halves the time of the test
	}
	return "# " + strings.ReplaceAll(strings.Join(lines, "\n# "), "\n# \n", "\n#\n") +
		fmt.Sprintf("\nrule_files: [../rules/dropgate.yml]\nevaluation_interval: %s\ntests:\n  - interval: %s\n    input_series:\n", evaluation, step)
}

// invent continues a healthy series for some hours.
func (run seriesRun) invent(name string, values []float64) string {
	last := values[len(values)-1]
	if run.hours == 0 || math.IsNaN(last) {
		return ""
	}
	const recent = 20 // five minutes
	slope := 0.0
	metric, _, _ := strings.Cut(name, "{")
	if counts := []string{"_total", "_count", "_bucket"}; slices.ContainsFunc(counts, func(s string) bool { return strings.HasSuffix(metric, s) }) {
		slope = round((last - values[len(values)-1-recent]) / recent)
	} else if strings.HasSuffix(metric, "_timestamp_seconds") && !strings.Contains(metric, "_expiry_") {
		slope = step.Seconds()
	}
	return " " + runOf(last+slope, slope, run.hours*int(time.Hour/step))
}

// shorten writes values as promtool reads them: a run as a+bxn.
func shorten(values []float64) string {
	var parts []string
	for i := 0; i < len(values); {
		if math.IsNaN(values[i]) {
			n := 1
			for i+n < len(values) && math.IsNaN(values[i+n]) {
				n++
			}
			if i > 0 { // Prometheus marks the end of a series
				parts = append(parts, "stale")
			}
			if rest := n - min(i, 1); rest > 0 {
				parts = append(parts, fmt.Sprintf("_x%d", rest))
			}
			i += n
			continue
		}
		n, slope := linear(values[i:])
		parts = append(parts, runOf(values[i], slope, n))
		i += n
	}
	return strings.Join(parts, " ")
}

// linear returns how many values lie on a line, and its slope.
func linear(values []float64) (int, float64) {
	if len(values) < 3 || math.IsNaN(values[1]) {
		return 1, 0
	}
	slope, n := round(values[1]-values[0]), 2
	for n < len(values) && round(values[n]-values[n-1]) == slope {
		n++
	}
	if n == 2 && slope != 0 {
		return 1, 0
	}
	return n, slope
}

func runOf(first, slope float64, n int) string {
	number := func(v float64) string { return strconv.FormatFloat(round(v), 'f', -1, 64) }
	switch {
	case n == 1:
		return number(first)
	case slope == 0:
		return fmt.Sprintf("%sx%d", number(first), n-1)
	case slope < 0:
		return fmt.Sprintf("%s%sx%d", number(first), number(slope), n-1)
	}
	return fmt.Sprintf("%s+%sx%d", number(first), number(slope), n-1)
}
