package handler

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	requests            *prometheus.CounterVec   // route, method, code
	duration            *prometheus.HistogramVec // route, method
	inFlight            prometheus.Gauge
	clientTokens        *prometheus.CounterVec // action, outcome
	links               *prometheus.CounterVec // outcome
	unreadableForwarded prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dropgate_http_requests_total",
			Help: "Requests on the public listener by route pattern (none: unknown route), method and status. Status 499: the caller disconnected.",
		}, []string{"route", "method", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "dropgate_http_request_duration_seconds",
			Help:    "Time from a request's head to the end of its response, including the wait for Dwolla.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .2, .35, .5, 1, 2.5, 5, 10, 25},
		}, []string{"route", "method"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "dropgate_http_requests_in_flight",
			Help: "Requests in progress on the public listener.",
		}),
		clientTokens: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dropgate_client_tokens_total",
			Help: "Requests for client tokens by action (unknown: not an action of Dwolla's) and outcome (vended, or the error code).",
		}, []string{"action", "outcome"}),
		links: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dropgate_customer_links_total",
			Help: "Customers linked to the signed-in user (linked), and error codes of PUT /session/customer.",
		}, []string{"outcome"}),
		unreadableForwarded: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "dropgate_forwarded_unreadable_total",
			Help: "Requests from TRUSTED_PROXIES without a readable client address in X-Forwarded-For. The proxy's address counts as the client's.",
		}),
	}
	r.MustRegister(m.requests, m.duration, m.inFlight, m.clientTokens, m.links, m.unreadableForwarded)
	return m
}
