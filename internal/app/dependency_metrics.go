package app

import (
	"strings"

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
			Help: "1 while the dependency works for this replica, by the last check or call: audit, log, database, webhook_queue, audit_outbox, application_database, application_sessions (AUTH_FORWARD_URL), application_directory (CUSTOMER_LOOKUP_URL), session_store, redis (without sessions in it), rate_limits, notices, identity_provider_keys (0 only before the first fetch), identity_provider or dwolla.",
		}, []string{"dependency"}),
		took: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "dropgate_dependency_check_duration_seconds",
			Help: "Time of the last check of a dependency, every two seconds. Stores are asked; for others it is next to nothing.",
		}, []string{"dependency"}),
	}
	r.MustRegister(a.dependencies.up, a.dependencies.took)
	all := a.watches()
	for _, d := range all {
		a.dependencies.up.WithLabelValues(d.label()).Set(1)
		a.dependencies.took.WithLabelValues(d.label())
	}
	lostConnections(r, all)
}

// label names the dependency in metrics.
func (d dependency) label() string {
	return strings.NewReplacer("the application's ", "application_", " ", "_").Replace(d.what)
}

// set shows what the checks found.
func (m *dependencyMetrics) set(all []watched, found []finding) {
	if m == nil {
		return
	}
	for i, d := range all {
		up := 1.0
		if found[i].err != nil {
			up = 0
		}
		m.up.WithLabelValues(d.label()).Set(up)
		m.took.WithLabelValues(d.label()).Set(found[i].took.Seconds())
	}
}
