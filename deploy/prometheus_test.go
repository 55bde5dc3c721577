package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

const ruleFile = "prometheus/rules/dropgate.yml"

// rule is a recording or an alerting rule.
type rule struct {
	Record      string            `json:"record"`
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	For         string            `json:"for"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

func rules(t *testing.T) []rule {
	t.Helper()
	var content struct {
		Groups []struct {
			Name  string `json:"name"`
			Rules []rule `json:"rules"`
		} `json:"groups"`
	}
	readStrictly(t, ruleFile, &content)
	var all []rule
	for _, group := range content.Groups {
		all = append(all, group.Rules...)
	}
	if len(all) == 0 {
		t.Fatal("no rules")
	}
	return all
}

func alerts(t *testing.T) []rule {
	t.Helper()
	return slices.DeleteFunc(rules(t), func(r rule) bool { return r.Alert == "" })
}

func readStrictly(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(text, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// promtool runs it, or skips the test without it. In CI the test then fails.
func promtool(t *testing.T, arguments ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal("promtool is missing; Debian's package prometheus has it")
	} else if err != nil {
		t.Skip("promtool is missing")
	}
	if out, err := exec.CommandContext(t.Context(), path, arguments...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(arguments, " "), err, out)
	}
}

func TestPrometheusAcceptsTheRules(t *testing.T) {
	promtool(t, "check", "config", "--syntax-only", "prometheus/prometheus.yml")
	promtool(t, "check", "rules", "--lint-fatal", ruleFile)
}

// ruleTests are the files with tests of rules.
func ruleTests(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("prometheus/tests/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests of rules: %v", err)
	}
	return files
}

func TestAlertsFireAndClear(t *testing.T) {
	promtool(t, append([]string{"test", "rules"}, ruleTests(t)...)...)
}

// firing is the expression that the tests of rules use for the names of firing alerts.
const firing = `count by (alertname) (ALERTS{alertstate="firing"})`

// ruleTest is a test of rules, as far as the Go tests read it.
type ruleTest struct {
	Expressions []struct {
		Expr    string `json:"expr"`
		Time    string `json:"eval_time"`
		Samples []struct {
			Labels string `json:"labels"`
		} `json:"exp_samples"`
	} `json:"promql_expr_test"`
}

// TestEachAlertIsTestedToFireAndClear reads the tests of rules. Each alert fires in one,
// and does not fire later in the same one.
func TestEachAlertIsTestedToFireAndClear(t *testing.T) {
	cleared := map[string]bool{}
	for _, file := range ruleTests(t) {
		var content struct {
			Tests []ruleTest `json:"tests"`
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(text, &content); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, test := range content.Tests {
			for _, name := range test.cleared(t, file) {
				cleared[name] = true
			}
		}
	}
	for _, a := range alerts(t) {
		if !cleared[a.Alert] {
			t.Errorf("no test of rules lets %s fire and clear", a.Alert)
		}
	}
}

// cleared returns the alerts that fire and later do not fire.
func (r ruleTest) cleared(t *testing.T, file string) []string {
	t.Helper()
	var fired, cleared []string
	last := time.Duration(-1)
	for _, e := range r.Expressions {
		at, err := time.ParseDuration(e.Time)
		if err != nil || e.Expr != firing || at <= last {
			t.Fatalf("%s: at %s: %s, want %s at a later time", file, e.Time, e.Expr, firing)
		}
		last = at
		var now []string
		for _, sample := range e.Samples {
			now = append(now, strings.TrimSuffix(strings.TrimPrefix(sample.Labels, `{alertname="`), `"}`))
		}
		for _, name := range fired {
			if !slices.Contains(now, name) {
				cleared = append(cleared, name)
			}
		}
		fired = append(fired, now...)
	}
	return cleared
}

func TestRulesUseOnlyExportedMetrics(t *testing.T) {
	all := exported(t)
	for _, r := range rules(t) {
		checkExported(t, all, r.Record+r.Alert, r.Expr)
	}
}

// recordedSeries finds the names of series that rules record.
func recordedSeries() *regexp.Regexp { return regexp.MustCompile(`\w+:\w+:\w+`) }

// TestRulesUseOnlyRecordedSeries complements TestRulesUseOnlyExportedMetrics.
func TestRulesUseOnlyRecordedSeries(t *testing.T) {
	all := rules(t)
	for _, r := range all {
		for _, name := range recordedSeries().FindAllString(r.Expr, -1) {
			if !slices.ContainsFunc(all, func(r rule) bool { return r.Record == name }) {
				t.Errorf("%s%s: nothing records %s", r.Record, r.Alert, name)
			}
		}
	}
}

// TestUnknownMetricIsNoticed shows that the check finds a wrong name, label and value.
func TestUnknownMetricIsNoticed(t *testing.T) {
	all := parseSeries(t, "a_total{outcome=\"good\"} 1\n")
	for expression, want := range map[string]bool{
		`rate(a_total{outcome=~"go.*",job="x"}[5m]) > 1`: true,
		`a_total{outcome!="bad"}`:                        true,
		`b_total`:                                        false,
		`a_total{outcome="bad"}`:                         false,
		`sum(a_total{result="good"})`:                    false,
	} {
		selector := selectorsIn(t, expression)[0]
		if got := slices.ContainsFunc(all, func(s series) bool { return selects(selector, s) }); got != want {
			t.Errorf("%s finds a series: %v, want %v", expression, got, want)
		}
	}
}

func TestEachAlertHasASectionInTheRunbook(t *testing.T) {
	text, err := os.ReadFile("../docs/runbook.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for _, part := range strings.Split(string(text), "\n### ")[1:] {
		name, section, _ := strings.Cut(part, "\n")
		sections[name], _, _ = strings.Cut(section, "\n## ")
	}
	for _, a := range alerts(t) {
		for _, part := range []string{"**Meaning.**", "**Look at.**", "**Do.**"} {
			if !strings.Contains(sections[a.Alert], part) {
				t.Errorf("the section %s of docs/runbook.md lacks %s", a.Alert, part)
			}
		}
		delete(sections, a.Alert)
	}
	for name := range sections {
		t.Errorf("docs/runbook.md has the section %s, and no alert has this name", name)
	}
}

func TestEachAlertNamesItsSectionAndSeverity(t *testing.T) {
	for _, a := range alerts(t) {
		if want := "docs/runbook.md#" + strings.ToLower(a.Alert); a.Annotations["runbook"] != want {
			t.Errorf("%s has the annotation runbook %q, want %q", a.Alert, a.Annotations["runbook"], want)
		}
		if severity := a.Labels["severity"]; severity != "critical" && severity != "warning" {
			t.Errorf("%s has the severity %q", a.Alert, severity)
		}
		if a.Annotations["summary"] == "" {
			t.Errorf("%s has no summary", a.Alert)
		}
	}
}
