package app

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// dependencyMetrics show what watch finds. They show a slow or missing dependency even
// without traffic.
type dependencyMetrics struct {
	up   *prometheus.GaugeVec // dependency
	took *prometheus.GaugeVec // dependency
}

// openDependencyMetrics registers the metrics of all dependencies. They count as up until
// the first check.
func (a *App) openDependencyMetrics(r prometheus.Registerer) {
	a.dependencies = &dependencyMetrics{
		up: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "dropgate_dependency_up",
			Help: "1 while the dependency works for this replica, by the last check or call: audit, log, database, application_database, session_store, rate_limits, identity_provider_keys (0 only before the first fetch), identity_provider or dwolla.",
		}, []string{"dependency"}),
		took: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "dropgate_dependency_check_duration_seconds",
			Help: "Time of the last check of a dependency, every two seconds. Stores are asked; for others it is next to nothing.",
		}, []string{"dependency"}),
	}
	r.MustRegister(a.dependencies.up, a.dependencies.took)
	for _, d := range slices.Concat(a.own(), a.shared(), a.counted()) {
		a.dependencies.up.WithLabelValues(d.label()).Set(1)
		a.dependencies.took.WithLabelValues(d.label())
	}
}

// counted returns the dependencies that neither readiness nor the log of watch names.
func (a *App) counted() []dependency {
	if a.redis == nil || a.limits == nil {
		return nil
	}
	return []dependency{{"rate limits", "redis", func(context.Context) error {
		if a.limits.Shared() {
			return nil
		}
		return errNotShared
	}}}
}

var errNotShared = errors.New("each replica counts alone")

// label names the dependency in metrics.
func (d dependency) label() string {
	return strings.NewReplacer("the application's ", "application_", " ", "_").Replace(d.what)
}

// observed returns dependencies whose checks set the metrics.
func (m *dependencyMetrics) observed(all []dependency) []dependency {
	if m == nil {
		return all
	}
	watched := slices.Clone(all)
	for i, d := range all {
		up, took := m.up.WithLabelValues(d.label()), m.took.WithLabelValues(d.label())
		watched[i].fault = func(ctx context.Context) error {
			began := time.Now()
			err := d.fault(ctx)
			if errors.Is(ctx.Err(), context.Canceled) { // the process ends
				return err
			}
			took.Set(time.Since(began).Seconds())
			up.Set(0)
			if err == nil {
				up.Set(1)
			}
			return err
		}
	}
	return watched
}
