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

// commandsOf returns the Redis commands in scripts.
func commandsOf(t *testing.T, patterns ...string) []string {
	t.Helper()
	found := map[string]bool{}
	for _, file := range files(t, patterns) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, command := range regexp.MustCompile(`\('([A-Z]+)'`).FindAllStringSubmatch(string(text), -1) {
			found[command[1]] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// files returns the files that match the patterns.
func files(t *testing.T, patterns []string) (all []string) {
	t.Helper()
	for _, pattern := range patterns {
		some, err := filepath.Glob(pattern)
		if err != nil || len(some) == 0 {
			t.Fatal(pattern, err)
		}
		all = append(all, some...)
	}
	return all
}

func TestCheckWritesRunsEveryCommand(t *testing.T) {
	want := commandsOf(t, "scripts/[^c]*.lua", "../../ratelimit/scripts/*.lua")
	if got := commandsOf(t, "scripts/checkwrites.lua"); !slices.Equal(got, want) {
		t.Errorf("checkwrites runs %q, the other scripts %q", got, want)
	}
}

func TestCheckWritesLeavesNothingBehind(t *testing.T) {
	for name, open := range map[string]func(testing.TB) *world{"miniredis": newMiniredis, "Redis": newRedis} {
		t.Run(name, func(t *testing.T) {
			w := open(t)
			if err := session.CheckWrites(t.Context(), w.client, ""); err != nil {
				t.Fatal(err)
			}
			keys, err := w.client.Keys(t.Context(), "dropgate:*:probe").Result()
			if err != nil || len(keys) != 0 {
				t.Errorf("left behind (error %v): %s", err, strings.Join(keys, ", "))
			}
		})
	}
}
