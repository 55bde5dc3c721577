package customerdb

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// statementsNeed returns the privileges the package's statements need, as "VERB
// table".
func statementsNeed(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	needed := map[string]bool{"SELECT dropgate_schema_version": true} // goose's
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, literal := range regexp.MustCompile("(?s)`[^`]*`").FindAllString(string(text), -1) {
			maps.Copy(needed, statementNeeds(literal))
		}
	}
	maps.DeleteFunc(needed, func(what string, _ bool) bool { return strings.HasSuffix(what, " dropgate_dry_run") }) // temporary
	return slices.Sorted(maps.Keys(needed))
}

// statementNeeds returns the privileges one statement needs.
func statementNeeds(statement string) map[string]bool {
	needed := map[string]bool{}
	for verb, pattern := range map[string]string{
		"INSERT": `INSERT INTO (dropgate_\w+)`, "UPDATE": `UPDATE (dropgate_\w+)`, "DELETE": `DELETE FROM (dropgate_\w+)`,
		"SELECT": `(?:FROM|JOIN|INTO|UPDATE) (dropgate_\w+)`, // a condition reads too
	} {
		for _, table := range regexp.MustCompile(pattern).FindAllStringSubmatch(statement, -1) {
			needed[verb+" "+table[1]] = true
			if verb == "INSERT" && strings.Contains(statement, "DO UPDATE") {
				needed["UPDATE "+table[1]] = true
			}
		}
	}
	return needed
}

func TestTryWriteChecksAllPrivileges(t *testing.T) {
	var checked []string
	for _, pair := range regexp.MustCompile(`\('(\w+)', '(\w+)'\)`).FindAllStringSubmatch(privileges, -1) {
		checked = append(checked, pair[2]+" "+pair[1])
	}
	slices.Sort(checked)
	if needed := statementsNeed(t); !slices.Equal(checked, needed) {
		t.Errorf("checked are\n%q, want\n%q", checked, needed)
	}
}

func TestDocumentedGrantsMatchTheStatements(t *testing.T) {
	text, err := os.ReadFile("../../../docs/directory.md")
	if err != nil {
		t.Fatal(err)
	}
	var granted []string
	for _, grant := range regexp.MustCompile(`(?m)^GRANT ([A-Z, ]+) ON (dropgate_\w+(?:, dropgate_\w+)*) TO dropgate;$`).FindAllStringSubmatch(string(text), -1) {
		for verb := range strings.SplitSeq(grant[1], ", ") {
			for table := range strings.SplitSeq(grant[2], ", ") {
				granted = append(granted, verb+" "+table)
			}
		}
	}
	slices.Sort(granted)
	if needed := statementsNeed(t); !slices.Equal(granted, needed) {
		t.Errorf("granted are\n%q, want\n%q", granted, needed)
	}
}
