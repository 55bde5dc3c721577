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
	want := string(text)
	for place, table := range map[string]string{"bearer providers": bearerTable(), "oidc providers": oidcTable()} {
		before, rest, found := strings.Cut(want, "<!-- "+place+" -->\n")
		_, after, ended := strings.Cut(rest, "<!-- end -->\n")
		if !found || !ended {
			t.Fatalf("%s has no place for the table of %s", page, place)
		}
		want = before + "<!-- " + place + " -->\n" + table + "<!-- end -->\n" + after
	}
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
		table.WriteString("| " + row.name + " | " + settingsCell(row.settings) + " | " + resultCell(row.user, row.reason, row.customer) + " |\n")
	}
	return table.String()
}

func oidcTable() string {
	var table strings.Builder
	table.WriteString("| provider | settings | result | tried with |\n| --- | --- | --- | --- |\n")
	for _, row := range oidcRows() {
		table.WriteString("| " + row.name + " | " + settingsCell(row.settings) + " | " + resultCell(row.user, row.reason, row.customer) + " | a double |\n")
	}
	for _, row := range realRows() {
		table.WriteString("| " + row.name + " | " + settingsCell(row.settings) + " | " + resultCell("a user", "", true) + " | the software itself |\n")
	}
	return table.String()
}

func settingsCell(lines string) string {
	var settings []string
	for line := range strings.Lines(lines) {
		if line = strings.TrimSpace(line); line != "" {
			settings = append(settings, "`"+line+"`")
		}
	}
	return strings.Join(settings, "<br>")
}

func resultCell(user, reason string, customer bool) string {
	switch {
	case user == "":
		return "refused: `" + strings.ReplaceAll(reason, "|", `\|`) + "`"
	case customer:
		return "the user and the Customer"
	}
	return "the user"
}
