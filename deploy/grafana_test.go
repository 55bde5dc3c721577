package deploy_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const dashboardFile = "grafana/dashboards/dropgate.json"

// panel is a panel of a dashboard, as far as the tests read it.
type panel struct {
	ID      int    `yaml:"id"`
	Type    string `yaml:"type"`
	Title   string `yaml:"title"`
	Targets []struct {
		Expr string `yaml:"expr"`
	} `yaml:"targets"`
	Position struct{ X, Y, W, H int } `yaml:"gridPos"`
}

// dashboard is a dashboard of Grafana, as far as the tests read it.
type dashboard struct {
	UID        string  `yaml:"uid"`
	Panels     []panel `yaml:"panels"`
	Templating struct {
		List []struct {
			Name, Type string
			Definition string
			Current    struct{ Value any }
		} `yaml:"list"`
	} `yaml:"templating"`
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	var d dashboard
	if err := yaml.Unmarshal([]byte(readFile(t, dashboardFile)), &d); err != nil { // JSON is YAML
		t.Fatal(err)
	}
	return d
}

// expressions returns the expressions of all panels, by title, as Prometheus gets them.
func (d dashboard) expressions() map[string][]string {
	all := map[string][]string{}
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			all[p.Title] = append(all[p.Title], strings.ReplaceAll(target.Expr, "$__rate_interval", "1m"))
		}
	}
	return all
}

func TestDashboardUsesOnlyExportedMetrics(t *testing.T) {
	all, d := exported(t), readDashboard(t)
	for title, expressions := range d.expressions() {
		for _, expression := range expressions {
			checkExported(t, all, title, expression)
		}
	}
	for _, variable := range d.Templating.List {
		query, isQuery := strings.CutPrefix(variable.Definition, "label_values(")
		if metric, _, _ := strings.Cut(query, ", "); isQuery {
			checkExported(t, all, variable.Name, metric)
		}
	}
}

func TestDashboardUsesOnlyRecordedSeries(t *testing.T) {
	recorded := map[string]bool{}
	for _, r := range rules(t) {
		recorded[r.Record] = true
	}
	for title, expressions := range readDashboard(t).expressions() {
		for _, name := range recordedSeries().FindAllString(strings.Join(expressions, "\n"), -1) {
			if !recorded[name] {
				t.Errorf("%s: no rule records %s", title, name)
			}
		}
	}
}

// TestPrometheusAcceptsTheDashboard checks the expressions as if rules recorded them.
func TestPrometheusAcceptsTheDashboard(t *testing.T) {
	var rules []map[string]string
	for _, expressions := range readDashboard(t).expressions() {
		for _, expression := range expressions {
			rules = append(rules, map[string]string{"record": "a", "expr": expression})
		}
	}
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "a", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", "--lint=none", path)
}

func TestDashboardPanelsHaveTheirOwnPlaces(t *testing.T) {
	d := readDashboard(t)
	taken, ids := map[[2]int]string{}, []int{}
	for _, p := range d.Panels {
		if slices.Contains(ids, p.ID) {
			t.Errorf("%s: another panel has the id %d", p.Title, p.ID)
		}
		ids = append(ids, p.ID)
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("%s shows nothing", p.Title)
		}
		for i := range p.Position.W * p.Position.H {
			at := [2]int{p.Position.X + i%p.Position.W, p.Position.Y + i/p.Position.W}
			if other, ok := taken[at]; ok {
				t.Fatalf("%s covers %s", p.Title, other)
			}
			taken[at] = p.Title
		}
	}
	if len(ids) < 2 || d.UID == "" {
		t.Errorf("%d panels, uid %q", len(ids), d.UID)
	}
}

// TestDashboardUsesTheProvisionedDataSource compares it with the data source of
// docker-compose.yml.
func TestDashboardUsesTheProvisionedDataSource(t *testing.T) {
	var provisioned struct {
		Datasources []struct {
			UID string `yaml:"uid"`
		} `yaml:"datasources"`
	}
	if err := yaml.Unmarshal([]byte(readFile(t, "grafana/provisioning/datasources/prometheus.yml")), &provisioned); err != nil {
		t.Fatal(err)
	}
	variable := readDashboard(t).Templating.List[0]
	if variable.Type != "datasource" || variable.Current.Value != provisioned.Datasources[0].UID {
		t.Errorf("the dashboard uses %v, want the data source %s", variable.Current.Value, provisioned.Datasources[0].UID)
	}
	if n := strings.Count(readFile(t, dashboardFile), `"uid": "${`+variable.Name+`}"`); n < len(readDashboard(t).Panels) {
		t.Errorf("only %d queries and panels use the variable %s", n, variable.Name)
	}
}
