package deploy_test

import (
	"os"
	"regexp"
	"strconv"
	"testing"
)

// TestAutoscalersLeaveConnectionsToPostgreSQLForOthers: for psql, a backup and the
// monitoring, when a roll-out and a migration come together.
func TestAutoscalersLeaveConnectionsToPostgreSQLForOthers(t *testing.T) {
	const (
		limit  = 100 - 3 // of a default server: max_connections − superuser_reserved_connections
		others = 10
		surge  = 1 // replicas that a roll-out adds
		job    = 1 // connections of server migrate
	)
	pool := numberIn(t, "../docs/configuration.md", `\| .DATABASE_MAX_CONNECTIONS. \| (\d+), or`)
	for file, pattern := range map[string]string{
		chartFolder + "/values.yaml":                             `\n  maxReplicas: (\d+)\n`,
		"kubernetes/components/hpa/horizontalpodautoscaler.yaml": `\n  maxReplicas: (\d+)\n`,
	} {
		replicas := numberIn(t, file, pattern)
		if used := (replicas+surge)*pool + job; used > limit-others {
			t.Errorf("%s: %d replicas use %d of %d connections, so others have fewer than %d", file, replicas, used, limit, others)
		}
	}
}

// numberIn returns the number that a pattern finds in a file.
func numberIn(t *testing.T, file, pattern string) int {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(pattern).FindSubmatch(text)
	if found == nil {
		t.Fatalf("%s has no %s", file, pattern)
	}
	n, err := strconv.Atoi(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
