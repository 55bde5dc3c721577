package session_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"dropgate/internal/auth/session"
)

// commandsOf returns the commands of Redis in scripts.
func commandsOf(t *testing.T, patterns ...string) []string {
	t.Helper()
	found := map[string]bool{}
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(pattern, err)
		}
		for _, file := range files {
			if filepath.Base(file) == "probe.lua" && pattern != "scripts/probe.lua" {
				continue
			}
			text, err := os.ReadFile(file) //nolint:gosec // of this module
			if err != nil {
				t.Fatal(err)
			}
			for _, command := range regexp.MustCompile(`\('([A-Z]+)'`).FindAllStringSubmatch(string(text), -1) {
				found[command[1]] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func TestProbeRunsEveryCommandOfTheScripts(t *testing.T) {
	want := commandsOf(t, "scripts/*.lua", "../../ratelimit/scripts/*.lua")
	if got := commandsOf(t, "scripts/probe.lua"); !slices.Equal(got, want) {
		t.Errorf("the probe runs %q, the other scripts %q", got, want)
	}
}

func TestProbeLeavesNothingBehind(t *testing.T) {
	for name, open := range map[string]func(testing.TB) *world{"miniredis": newMiniredis, "Redis": newRedis} {
		t.Run(name, func(t *testing.T) {
			w := open(t)
			if err := session.Probe(t.Context(), w.client); err != nil {
				t.Fatal(err)
			}
			keys, err := w.client.Keys(t.Context(), "dropgate:*:probe").Result()
			if err != nil || len(keys) != 0 {
				t.Errorf("left behind (error %v): %s", err, strings.Join(keys, ", "))
			}
		})
	}
}
