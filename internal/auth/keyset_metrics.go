package auth

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/latency"
)

type keySetMetrics struct {
	fetches   *prometheus.CounterVec // outcome
	duration  prometheus.Observer
	succeeded prometheus.Gauge // Unix time
}

func newKeySetMetrics(r prometheus.Registerer) keySetMetrics {
	duration := prometheus.NewHistogram(latency.Call("dropgate_jwks_refresh_duration_seconds",
		"Time of a fetch of the identity provider's keys, with the discovery document if it is needed."))
	m := keySetMetrics{
		fetches: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dropgate_jwks_refresh_total",
			Help: "Fetches of the identity provider's keys by outcome: success or failure.",
		}, []string{"outcome"}),
		duration: duration,
		succeeded: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "dropgate_jwks_last_success_timestamp_seconds",
			Help: "Unix time of the last successful fetch of the identity provider's keys; 0 before the first.",
		}),
	}
	for _, outcome := range []string{"success", "failure"} {
		m.fetches.WithLabelValues(outcome)
	}
	r.MustRegister(m.fetches, duration, m.succeeded)
	return m
}

// observe counts a fetch. It belongs to no request.
func (m keySetMetrics) observe(started time.Time, err error) {
	now := time.Now()
	latency.Observe(context.Background(), m.duration, now.Sub(started))
	if err != nil {
		m.fetches.WithLabelValues("failure").Inc()
		return
	}
	m.fetches.WithLabelValues("success").Inc()
	m.succeeded.Set(float64(now.UnixMilli()) / 1000)
}
