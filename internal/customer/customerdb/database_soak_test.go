//go:build soak

package customerdb_test

import "testing"

// soakDatabase checks the promises of a Database that take seconds: random
// histories, and waits for real leases.
func soakDatabase(t *testing.T, database newDatabase) {
	testPromises(t, database, []promise{
		{"FollowsTheModel", followsTheModel},
		{"StatusesConvergeInAnyOrder", statusesConvergeInAnyOrder},
		{"EntriesOutliveTheirProcess", entriesOutliveTheirProcess},
		{"SinkOutageLosesNothing", sinkOutageLosesNothing},
	})
}

func TestSQLitePassesTheSoakSuite(t *testing.T) {
	t.Parallel()
	soakDatabase(t, newSQLite)
}

func TestPostgresPassesTheSoakSuite(t *testing.T) {
	t.Parallel()
	soakDatabase(t, newPostgresDatabase)
}

func TestPgBouncerPassesTheSoakSuite(t *testing.T) {
	t.Parallel()
	soakDatabase(t, newBouncedDatabase)
}

func TestDocumentedGrantsPassTheSoakSuite(t *testing.T) {
	t.Parallel()
	soakDatabase(t, newGrantedDatabase)
}
