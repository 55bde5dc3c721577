package deploy_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// TestCopiesOfRulesAndDashboardAreEqual fails after a change of the rules or the dashboard
// until `go test -run TestCopiesOfRulesAndDashboardAreEqual . -update` has been run in
// deploy. Neither Helm nor kustomize reads files outside of its folder.
func TestCopiesOfRulesAndDashboardAreEqual(t *testing.T) {
	rules, dashboard := readFile(t, ruleFile), readFile(t, dashboardFile)
	for path, want := range map[string]string{
		chartFolder + "/files/rules.yml":                            rules,
		"kubernetes/components/prometheus-rule/prometheusrule.yaml": prometheusRule(t, rules),
		chartFolder + "/files/dropgate.json":                        dashboard,
		"kubernetes/components/grafana-dashboard/dropgate.json":     dashboard,
	} {
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(want, readFile(t, path)); diff != "" {
			t.Errorf("%s is stale (-want +got):\n%s", path, diff)
		}
	}
}

// prometheusRule returns the rules as an object of the Prometheus operator.
func prometheusRule(t *testing.T, rules string) string {
	t.Helper()
	var spec any
	if err := yaml.UnmarshalStrict([]byte(rules), &spec); err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{"app.kubernetes.io/name": "dropgate", "app.kubernetes.io/component": "server"}
	text, err := yaml.Marshal(map[string]any{
		"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule",
		"metadata": map[string]any{"name": "dropgate", "labels": labels}, "spec": spec,
	})
	if err != nil {
		t.Fatal(err)
	}
	return "# A copy: see deploy/prometheus/rules/dropgate.yml.\n" + string(text)
}

// TestOperatorGetsTheRulesOfPrometheus reads the rendered objects: no template may change
// the rules, with their own braces.
func TestOperatorGetsTheRulesOfPrometheus(t *testing.T) {
	var want any
	readStrictly(t, ruleFile, &want)
	for name, m := range map[string]manifest{
		"kustomize": renderWith(t, "prometheus-rule"),
		"chart":     renderChart(t, changed(t, `prometheusRule: {enabled: true}`)).manifest,
	} {
		text, err := yaml.Marshal(m.rule.Spec)
		if err != nil {
			t.Fatal(err)
		}
		var got any
		if err := yaml.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-rules +object):\n%s", name, diff)
		}
	}
}

func TestGrafanaGetsTheDashboard(t *testing.T) {
	for name, m := range map[string]manifest{
		"kustomize": renderWith(t, "grafana-dashboard"),
		"chart":     renderChart(t, changed(t, `grafanaDashboard: {enabled: true}`)).manifest,
	} {
		if m.dashboard == nil || m.dashboard.Labels["grafana_dashboard"] != "1" {
			t.Fatalf("%s: %+v, want the label of the sidecar", name, m.dashboard)
		}
		if diff := cmp.Diff(readFile(t, dashboardFile), m.dashboard.Data["dropgate.json"]); diff != "" {
			t.Errorf("%s (-file +ConfigMap):\n%s", name, diff)
		}
	}
}
