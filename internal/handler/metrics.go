package handler

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/clienttoken"
	"dropgate/internal/latency"
)

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
		duration: prometheus.NewHistogramVec(latency.Call("dropgate_http_request_duration_seconds",
			"Time from a request's head to the end of its response, including the wait for Dwolla."), []string{"route", "method"}),
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
	for _, action := range append(clienttoken.Actions(), unknownAction) {
		for _, outcome := range append(vendCodes(), "vended") {
			m.clientTokens.WithLabelValues(string(action), string(outcome))
		}
	}
	r.MustRegister(m.requests, m.duration, m.inFlight, m.clientTokens, m.links, m.unreadableForwarded)
	return m
}

// unknownAction is the label of a request without a known action.
const unknownAction clienttoken.Action = "unknown"

// unknownRoute is the label of a request without a route.
const unknownRoute = "none"

// vendCodes lists the error codes of POST /client-tokens.
func vendCodes() []clienttoken.Code {
	return append(commonCodes(), clienttoken.CustomerMismatch, clienttoken.CustomerNotLinked, clienttoken.CustomerInactive,
		clienttoken.CustomerAlreadyLinked, clienttoken.ActionNotAllowed, clienttoken.UpstreamError, clienttoken.UpstreamTimeout,
		validationError, payloadTooLarge, unsupportedMediaType)
}

// linkCodes lists the error codes of PUT /session/customer.
func linkCodes() []clienttoken.Code {
	return append(commonCodes(), clienttoken.CustomerMismatch, clienttoken.CustomerAlreadyLinked,
		clienttoken.UpstreamError, clienttoken.UpstreamTimeout, validationError, payloadTooLarge, unsupportedMediaType)
}

// commonCodes lists the error codes of every route.
func commonCodes() []clienttoken.Code {
	return []clienttoken.Code{
		clienttoken.BadRequest, clienttoken.Unauthenticated, clienttoken.TooManyRequests, clienttoken.Unavailable,
		crossOriginRequest, clientClosedRequest, serverError,
	}
}

// expect makes the series of all routes exist from the start: a counter that begins with
// its first error shows no increase.
func (m *metrics) expect(routes chi.Routes, c Config) error {
	if c.Vendor.Enrollment != nil {
		m.links.WithLabelValues("linked")
		for _, code := range linkCodes() {
			m.links.WithLabelValues(string(code))
		}
	}
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		m.requests.WithLabelValues(unknownRoute, method, strconv.Itoa(http.StatusNotFound))
		m.duration.WithLabelValues(unknownRoute, method)
	}
	err := chi.Walk(routes, func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		codes := commonCodes()
		switch route {
		case c.BasePath + "/client-tokens":
			codes = vendCodes()
		case c.BasePath + "/session/customer":
			codes = linkCodes()
		}
		m.requests.WithLabelValues(route, method, strconv.Itoa(http.StatusOK))
		if route == c.BasePath+"/auth/login" || route == c.BasePath+"/auth/callback" {
			m.requests.WithLabelValues(route, method, strconv.Itoa(http.StatusSeeOther))
		}
		for _, code := range codes {
			status, _ := statusAndMessage(code)
			m.requests.WithLabelValues(route, method, strconv.Itoa(status))
		}
		m.duration.WithLabelValues(route, method)
		return nil
	})
	if err != nil {
		return fmt.Errorf("metrics of the routes: %w", err)
	}
	return nil
}
