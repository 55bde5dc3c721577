package dwolla

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/latency"
)

// operation names one of the calls in metrics, logs and errors.
type operation string

const (
	opToken                operation = "token"
	opCreateClientToken    operation = "create_client_token"
	opGetCustomer          operation = "get_customer"
	opListBeneficialOwners operation = "list_beneficial_owners"
)

// operations lists the calls that need an access token.
func operations() []operation {
	return []operation{opCreateClientToken, opGetCustomer, opListBeneficialOwners}
}

type metrics struct {
	requests  *prometheus.CounterVec   // operation, code
	durations *prometheus.HistogramVec // operation
	duration  map[operation]prometheus.Observer
	expiry    prometheus.Gauge
	retries   *prometheus.CounterVec // operation, reason
	rejected  *prometheus.CounterVec // reason
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dropgate_dwolla_requests_total",
			Help: "Requests to Dwolla by operation and HTTP status, or timeout, canceled or error without an answer.",
		}, []string{"operation", "code"}),
		durations: prometheus.NewHistogramVec(latency.Call("dropgate_dwolla_request_duration_seconds",
			"Time from sending a request to Dwolla until the end of its answer."), []string{"operation"}),
		expiry: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "dropgate_dwolla_access_token_expiry_timestamp_seconds",
			Help: "Unix time when the application's access token expires; 0 before the first token.",
		}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dropgate_dwolla_retries_total",
			Help: "Calls of Dwolla that were retried, by operation and outcome of the first attempt.",
		}, []string{"operation", "reason"}),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dropgate_dwolla_rejected_total",
			Help: "Calls not sent to Dwolla, by reason; with retry_budget, retries not sent.",
		}, []string{"reason"}),
	}
	for _, reason := range rejections() {
		m.rejected.WithLabelValues(string(reason))
	}
	m.duration = latency.Resolve(m.durations, append(operations(), opToken)...)
	for _, op := range append(operations(), opToken) {
		for _, code := range usualCodes() {
			m.requests.WithLabelValues(string(op), code)
		}
	}
	for _, op := range operations() {
		for _, reason := range retryReasons() {
			m.retries.WithLabelValues(string(op), string(reason))
		}
	}
	r.MustRegister(m.requests, m.durations, m.expiry, m.retries, m.rejected)
	return m
}

// gauge registers a metric computed on each scrape, for values that change with
// time alone.
func gauge(r prometheus.Registerer, opts prometheus.GaugeOpts, value func() float64) {
	r.MustRegister(prometheus.NewGaugeFunc(opts, value))
}

// gaugeState registers the state of an operation's circuit.
func gaugeState(r prometheus.Registerer, op operation, state func() float64) {
	gauge(r, prometheus.GaugeOpts{
		Name:        "dropgate_dwolla_circuit_state",
		Help:        "Circuit of this operation: 0 closed, 1 half-open (one probe at a time), 2 open.",
		ConstLabels: prometheus.Labels{"operation": string(op)},
	}, state)
}

// gaugeFailing registers whether every request of an operation fails.
func gaugeFailing(r prometheus.Registerer, op operation, failing func() float64) {
	gauge(r, prometheus.GaugeOpts{
		Name:        "dropgate_dwolla_failing",
		Help:        "1 while every request of this operation fails: the last four or more, however rare. For token, while there is no valid access token after a failure.",
		ConstLabels: prometheus.Labels{"operation": string(op)},
	}, failing)
}

// reject counts a call that is not sent.
func (m *metrics) reject(reason rejection) { m.rejected.WithLabelValues(string(reason)).Inc() }

func (m *metrics) observe(ctx context.Context, op operation, took time.Duration, fault *Error) {
	m.requests.WithLabelValues(string(op), code(fault)).Inc()
	latency.Observe(ctx, m.duration[op], took)
}

// usualCodes lists the codes whose series exist from the start. Dwolla may answer with
// other statuses, too.
func usualCodes() []string {
	return []string{"200", "400", "401", "403", "404", "429", "500", "502", "503", "504", "timeout", "canceled", "error", "other"}
}

// code is the metric label of an outcome. It is a closed set: only statuses with a
// name are used.
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
