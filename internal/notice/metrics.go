package notice

import "github.com/prometheus/client_golang/prometheus"

// outcome is what happened to a notice.
type outcome string

const (
	sent       outcome = "sent"
	failed     outcome = "failed"
	received   outcome = "received"
	unreadable outcome = "unreadable"
)

type metrics struct {
	subscribed prometheus.Gauge
	notices    *prometheus.CounterVec // outcome
}

func newMetrics(r prometheus.Registerer) metrics {
	m := metrics{
		subscribed: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "dropgate_notices_subscribed",
			Help: "1 while this replica receives the notices of the others; 0 while their changes take up to CUSTOMER_CACHE here.",
		}),
		notices: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dropgate_notices_total",
			Help: "Notices about changes among replicas, by outcome: sent, failed (other replicas may lag behind), received, or unreadable (another secret or a stranger).",
		}, []string{"outcome"}),
	}
	for _, o := range []outcome{sent, failed, received, unreadable} {
		m.notices.WithLabelValues(string(o))
	}
	r.MustRegister(m.subscribed, m.notices)
	return m
}

func (m metrics) count(o outcome) { m.notices.WithLabelValues(string(o)).Inc() }
