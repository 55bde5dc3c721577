package providers_test

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tables into docs/authentication.md")

const page = "../docs/authentication.md"

// The documentation has the settings that the tests use.
func TestDocsListProvidersWithTheirSettings(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), "<!-- bearer providers -->\n")
	_, after, ended := strings.Cut(rest, "<!-- end -->\n")
	if !found || !ended {
		t.Fatalf("%s has no place for the table", page)
	}
	want := before + "<!-- bearer providers -->\n" + bearerTable() + "<!-- end -->\n" + after
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	} else if want != string(text) {
		t.Errorf("%s is not up to date: go test ./providers -run Docs -update", page)
	}
}

func bearerTable() string {
	var table strings.Builder
	table.WriteString("| token | settings | result |\n| --- | --- | --- |\n")
	for _, row := range bearerRows() {
		var settings []string
		for line := range strings.Lines(row.settings) {
			if line = strings.TrimSpace(line); line != "" {
				settings = append(settings, "`"+line+"`")
			}
		}
		result := "the user"
		switch {
		case row.user == "":
			result = "refused: `" + strings.ReplaceAll(row.reason, "|", `\|`) + "`"
		case row.customer:
			result = "the user and the Customer"
		}
		table.WriteString("| " + row.name + " | " + strings.Join(settings, "<br>") + " | " + result + " |\n")
	}
	return table.String()
}
