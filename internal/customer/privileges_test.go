package customer_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"dropgate/internal/customer"
)

// TestDocumentedGrantsAreEnough runs everything as a role with the privileges in
// docs/directory.md, in a schema that its owner has migrated.
func TestDocumentedGrantsAreEnough(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/directory.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```sql\n(GRANT .*?)```").FindStringSubmatch(string(text))
	if block == nil {
		t.Fatal("no grants in docs/directory.md")
	}
	testDatabase(t, func(tb testing.TB) func() *customer.Database {
		tb.Helper()
		p := newPostgres(tb)
		role := p.role(tb, "")
		if err := p.openUnmigrated(tb).Migrate(tb.Context()); err != nil {
			tb.Fatal(err)
		}
		grants := strings.NewReplacer(" TO dropgate;", " TO "+role+";", "SCHEMA public", "SCHEMA "+p.name).Replace(block[1])
		owner := other(tb, p.url)
		for statement := range strings.SplitSeq(grants, ";\n") {
			if _, err := owner.ExecContext(tb.Context(), statement); err != nil {
				tb.Fatalf("%s: %v", statement, err)
			}
		}
		p.url = with(tb, p.url, "user", role)
		return func() *customer.Database { return p.open(tb) }
	})
}
