package deploy_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "write the table of values in the chart's README")

// TestChartReadmeIsUpToDate fails after a change of values.yaml until
// `go test -run TestChartReadmeIsUpToDate . -update` has been run in deploy.
func TestChartReadmeIsUpToDate(t *testing.T) {
	const file, first = chartFolder + "/README.md", "| value | default | meaning |\n"
	readme, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(chartFolder + "/values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	// The table is the last part.
	written, _, _ := strings.Cut(string(readme), first)
	want := written + first + "| --- | --- | --- |\n" + rowsOf(t, "", document.Content[0])
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want, string(readme)); diff != "" && !*update {
		t.Errorf("the table of values is stale; run go test -run TestChartReadmeIsUpToDate . -update (-want +got):\n%s", diff)
	}
}

// rowsOf returns a row for each value with a comment, at any depth.
func rowsOf(t *testing.T, path string, section *yaml.Node) string {
	t.Helper()
	var rows strings.Builder
	for i := 0; i < len(section.Content); i += 2 {
		key, value := section.Content[i], section.Content[i+1]
		below := strings.TrimPrefix(path+"."+key.Value, ".")
		if comment := meaning(key.HeadComment); comment != "" {
			fmt.Fprintf(&rows, "| `%s` | %s | %s |\n", below, standard(t, value), comment)
		} else if path == "" && value.Kind != yaml.MappingNode {
			t.Errorf("%s has no comment", below)
		}
		if value.Kind == yaml.MappingNode {
			rows.WriteString(rowsOf(t, below, value))
		}
	}
	return rows.String()
}

// meaning returns the paragraph above a value.
func meaning(comment string) string {
	paragraphs := strings.Split(comment, "\n\n")
	text := strings.ReplaceAll(paragraphs[len(paragraphs)-1], "\n# ", " ")
	return strings.TrimPrefix(strings.ReplaceAll(text, "|", `\|`), "# ")
}

func standard(t *testing.T, value *yaml.Node) string {
	t.Helper()
	var plain any
	if err := value.Decode(&plain); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(plain)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case string(text) == `""`, value.Kind == yaml.MappingNode && len(value.Content) > 0:
		return ""
	case len(text) > 40:
		return "see values.yaml"
	}
	return "`" + strings.Trim(string(text), `"`) + "`"
}
