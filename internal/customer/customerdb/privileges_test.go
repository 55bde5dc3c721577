package customerdb_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"dropgate/internal/customer/customerdb"
	"dropgate/internal/postgres/postgrestest"
)

// TestDocumentedGrantsAreEnough runs everything as a role with the privileges in
// docs/directory.md, in a schema that its owner has migrated.
func TestDocumentedGrantsAreEnough(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../docs/directory.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```sql\n(GRANT .*?)```").FindStringSubmatch(string(text))
	if block == nil {
		t.Fatal("no grants in docs/directory.md")
	}
	testDatabase(t, func(tb testing.TB) func() *customerdb.Database {
		tb.Helper()
		p := newPostgres(tb)
		role := p.Role(tb, "")
		if err := p.openUnmigrated(tb).Migrate(tb.Context()); err != nil {
			tb.Fatal(err)
		}
		grants := strings.NewReplacer(" TO dropgate;", " TO "+role+";", "SCHEMA public", "SCHEMA "+p.Name).Replace(block[1])
		owner := postgrestest.Open(tb, p.URL)
		for statement := range strings.SplitSeq(grants, ";\n") {
			if _, err := owner.ExecContext(tb.Context(), statement); err != nil {
				tb.Fatalf("%s: %v", statement, err)
			}
		}
		p.URL = postgrestest.With(tb, p.URL, "user", role)
		return func() *customerdb.Database { return p.open(tb) }
	})
}
