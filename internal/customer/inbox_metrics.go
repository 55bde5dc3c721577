package customer

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/clienttoken"
)

type inboxMetrics struct {
	webhooks  *prometheus.CounterVec // topic, outcome
	processed *prometheus.CounterVec // topic, outcome
	depth     prometheus.Gauge
	oldest    prometheus.Gauge
	measured  prometheus.Gauge // Unix time
	latest    prometheus.Gauge // Unix time

	mu       sync.Mutex
	received time.Time
}

func newInboxMetrics(r prometheus.Registerer) *inboxMetrics {
	m := &inboxMetrics{
		webhooks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dropgate_webhooks_total",
			Help: "Webhooks received, by topic (other: unlisted) and outcome: queued, duplicate, ignored (about no Customer), refused (wrong signature or body) or unavailable.",
		}, []string{"topic", "outcome"}),
		processed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dropgate_webhooks_processed_total",
			Help: "Attempts to process a queued webhook event, by topic and outcome: linked, status, unmatched (a new Customer of no known user), conflict (the user or the Customer has another link), retried or abandoned.",
		}, []string{"topic", "outcome"}),
		depth: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "dropgate_webhook_queue_depth",
			Help: "Webhook events waiting in the database, of all replicas.",
		}),
		oldest: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "dropgate_webhook_queue_oldest_seconds",
			Help: "Age of the oldest waiting webhook event, or 0, when the queue was last measured.",
		}),
		measured: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "dropgate_webhook_queue_measured_timestamp_seconds",
			Help: "Unix time of the last measurement of the queue of webhook events; 0 before the first. If it stands still, so do depth and age.",
		}),
		latest: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "dropgate_webhook_last_received_timestamp_seconds",
			Help: "Unix time of the last webhook with a good signature: of this replica, or about a Customer and stored by any replica in the last four days. 0 if there is none.",
		}),
	}
	m.expect()
	r.MustRegister(m.webhooks, m.processed, m.depth, m.oldest, m.measured, m.latest)
	return m
}

// expect makes all series exist from the start.
func (m *inboxMetrics) expect() {
	m.webhooks.WithLabelValues(string(clienttoken.OtherTopic), "refused")
	for _, topic := range append(clienttoken.Topics(), clienttoken.OtherTopic) {
		for _, outcome := range []string{"queued", "duplicate", "ignored", "unavailable"} {
			m.webhooks.WithLabelValues(string(topic), outcome)
		}
		for _, outcome := range []string{"linked", "status", "unmatched", "conflict", "retried", "abandoned"} {
			m.processed.WithLabelValues(string(topic), outcome)
		}
	}
}

// arrived records the arrival of a webhook. It ignores a zero time.
func (m *inboxMetrics) arrived(at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if at.After(m.received) {
		m.received = at
		m.latest.Set(unixTime(at))
	}
}

// unixTime returns a time for a gauge.
func unixTime(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
