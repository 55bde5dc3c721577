package dwolla

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// operation names one of the calls in metrics, logs and errors.
type operation string

const (
	opToken                operation = "token"
	opCreateClientToken    operation = "create_client_token"
	opGetCustomer          operation = "get_customer"
	opListBeneficialOwners operation = "list_beneficial_owners"
)

type metrics struct {
	requests *prometheus.CounterVec   // operation, code
	duration *prometheus.HistogramVec // operation
	expiry   prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dropgate_dwolla_requests_total",
			Help: "Requests to Dwolla by operation and HTTP status, or timeout, canceled or error where there was no answer.",
		}, []string{"operation", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "dropgate_dwolla_request_duration_seconds",
			Help:    "Time from sending a request to Dwolla to the end of its answer.",
			Buckets: []float64{.01, .025, .05, .1, .2, .35, .5, .75, 1, 2.5, 5, 10},
		}, []string{"operation"}),
		expiry: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "dropgate_dwolla_access_token_expiry_timestamp_seconds",
			Help: "When the application's access token at Dwolla expires, in Unix time; 0 before the first.",
		}),
	}
	r.MustRegister(m.requests, m.duration, m.expiry)
	return m
}

func (m *metrics) observe(op operation, took time.Duration, fault *Error) {
	m.requests.WithLabelValues(string(op), code(fault)).Inc()
	m.duration.WithLabelValues(string(op)).Observe(took.Seconds())
}

// code is the status of an answer, from the closed set of those with a name.
func code(fault *Error) string {
	switch {
	case fault == nil:
		return "200"
	case errors.Is(fault.Err, context.Canceled):
		return "canceled"
	case errors.Is(fault.Err, context.DeadlineExceeded):
		return "timeout"
	case fault.Status == 0 || fault.Err != nil:
		return "error"
	case http.StatusText(fault.Status) == "":
		return "other"
	}
	return strconv.Itoa(fault.Status)
}
