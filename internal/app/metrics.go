package app

import (
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Build says what is running.
type Build struct {
	Version string
	Commit  string // empty: what Go wrote into the binary when it was built in a git checkout
}

// commit returns the commit, with "+dirty" if the files differed from it, or "unknown".
func (b Build) commit() string {
	if b.Commit != "" {
		return b.Commit
	}
	built, ok := debug.ReadBuildInfo()
	if !ok {
		return unknownCommit
	}
	return commitOf(built.Settings)
}

const unknownCommit = "unknown"

func commitOf(settings []debug.BuildSetting) string {
	commit, dirty := "", ""
	for _, s := range settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+dirty"
		}
	}
	if commit == "" {
		return unknownCommit
	}
	return commit + dirty
}

// newRegistry returns a registry with the metrics of Go, the process and the build.
func newRegistry(b Build) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "dropgate_build_info",
		Help:        "Always 1; the labels say what is running.",
		ConstLabels: prometheus.Labels{"version": b.Version, "commit": b.commit(), "go_version": runtime.Version()},
	})
	build.Set(1)
	registry.MustRegister(build, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return registry
}
