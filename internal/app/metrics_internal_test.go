package app

import (
	"runtime/debug"
	"testing"
)

func TestCommitComesFromTheGitCheckout(t *testing.T) {
	revision := debug.BuildSetting{Key: "vcs.revision", Value: "0123abc"}
	modified := debug.BuildSetting{Key: "vcs.modified", Value: "true"}
	unmodified := debug.BuildSetting{Key: "vcs.modified", Value: "false"}
	for want, settings := range map[string][]debug.BuildSetting{
		"0123abc": {unmodified, revision}, "0123abc+dirty": {revision, modified}, "unknown": {modified},
	} {
		if got := commitOf(settings); got != want {
			t.Errorf("%v: commit %q, want %q", settings, got, want)
		}
	}
}

// The headers of all connections fit into 60 MiB.
func TestLargerHeadersMeanFewerConnections(t *testing.T) {
	for want, c := range map[int]Config{
		3000: {AuthModes: []string{"oidc"}}, 1396: {AuthModes: []string{"oidc", "bearer"}}, 903: {MaxHeader: 64 << 10},
	} {
		if got := c.mostPublic(); got != want {
			t.Errorf("%v, %d bytes: %d connections, want %d", c.AuthModes, c.MaxHeader, got, want)
		}
	}
}

func TestFewFileDescriptorsLeaveHalfForTheService(t *testing.T) {
	for _, c := range []struct {
		all, own      uint64
		public, admin int
	}{
		{1 << 40, 500, 3000, 250},
		{4096, 500, 3000, 250},
		{1024, 500, 472, 52},
		{512, 500, 231, 25},
		{128, 500, 48, 16},
		{16, 500, 16, 16},
	} {
		got := divideDescriptors(c.all, c.own)
		if got.public != c.public || got.admin != c.admin || got.descriptors != c.all {
			t.Errorf("%d descriptors, %d own: %+v, want %d and %d", c.all, c.own, got, c.public, c.admin)
		}
	}
}
