package customerdb_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"dropgate/internal/customer/customerdb"
	"dropgate/internal/postgres/postgrestest"
)

// newGrantedDatabase is a newDatabase, used by a role with the grants in
// docs/directory.md. Its owner has migrated the schema.
func newGrantedDatabase(tb testing.TB) func() *customerdb.Database {
	tb.Helper()
	text, err := os.ReadFile("../../../docs/directory.md")
	if err != nil {
		tb.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```sql\n(GRANT .*?)```").FindStringSubmatch(string(text))
	if block == nil {
		tb.Fatal("no grants in docs/directory.md")
	}
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
}

func TestDocumentedGrantsAreEnough(t *testing.T) {
	t.Parallel()
	testDatabase(t, newGrantedDatabase)
}
