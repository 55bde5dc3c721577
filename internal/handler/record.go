package handler

import (
	"cmp"
	"context"
	"crypto/rand"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/audit"
	"dropgate/internal/auth"
	"dropgate/internal/clienttoken"
	"dropgate/internal/ratelimit"
)

// record is what is known of one request. It is filled on the way in, and read
// on the way out: for the audit entry, the access line and the metrics.
type record struct {
	requestID        string
	proxyRequestID   string // of a trusted proxy; empty without one
	clientIP         string
	mode, user       string
	operator         string // the name of the admin token
	action, customer string
	dwollaRequestID  string
	fingerprint      string
	code, reason     string      // of the error answer; empty when there is none
	enrolled         bool        // the Customer became the user's own
	audited          audit.Event // what an entry of this request is about; empty: it leaves none
	unnamed          int64       // bad admin tokens that left no entry of their own
	accepted         bool        // the entry was given to the sink, whatever came of that
	charge           ratelimit.Charge
}

type recordKey struct{}

func recordOf(r *http.Request) *record {
	if rec, ok := r.Context().Value(recordKey{}).(*record); ok {
		return rec
	}
	return &record{} // only outside of observed
}

func (rec *record) vended(v *clienttoken.Vended) {
	rec.action = string(v.Action)
	rec.customer = v.Customer.ID()
	rec.enrolled = v.Enrolled
	if !v.Token.IsZero() {
		rec.fingerprint = v.Token.Fingerprint()
		rec.dwollaRequestID = v.Token.DwollaRequestID
	}
}

// why is the reason for the log and the audit.
func (rec *record) why() string {
	if !rec.enrolled {
		return rec.reason
	}
	return strings.TrimSuffix("enrolled: the Customer has the user's correlationId; "+rec.reason, "; ")
}

// answerWithin bounds everything that a request waits for. It is shorter than
// the server's write timeout, so that a caller gets an answer, not a cut.
const answerWithin = 25 * time.Second

// observed gives the request its id, its record and its deadline. When the
// request is over, also after a panic, it writes the access line and the metrics.
func (h *handler) observed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		rec := &record{requestID: rand.Text(), proxyRequestID: h.proxyRequestID(r), clientIP: h.clientIP(r)}
		rec.charge = h.Limits.Charge(rec.clientIP)
		w.Header().Set("X-Request-Id", rec.requestID)
		h.metrics.inFlight.Inc()
		answer := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		ctx := context.WithValue(r.Context(), recordKey{}, rec)
		ctx, cancel := context.WithTimeout(ctx, answerWithin)
		r = r.WithContext(ctx)
		defer func() {
			cancel()
			h.metrics.inFlight.Dec()
			h.finish(r, answer, time.Since(start))
		}()
		next.ServeHTTP(answer, r)
	})
}

func (h *handler) finish(r *http.Request, answer middleware.WrapResponseWriter, took time.Duration) {
	_ = h.accept(r) // of what handed nothing out, or was cut
	rec := recordOf(r)
	if rec.enrolled { // whatever became of the rest
		h.metrics.links.WithLabelValues("linked").Inc()
	}
	route := chi.RouteContext(r.Context()).RoutePattern()
	if route == "" {
		route = "none"
	}
	method := r.Method
	if !slices.Contains(methods(), method) {
		method = "other" // a stranger may invent as many as they like
	}
	status := answer.Status()
	switch {
	case status != 0:
	case rec.code != "":
		status = http.StatusInternalServerError // cut before a byte was written
	default:
		status = http.StatusOK // nothing was written, so net/http will
	}
	h.metrics.requests.WithLabelValues(route, method, strconv.Itoa(status)).Inc()
	h.metrics.duration.WithLabelValues(route, method).Observe(took.Seconds())
	h.Logger.Info().
		Str("log", "access").
		Str("request_id", rec.requestID).
		Str("proxy_request_id", rec.proxyRequestID).
		Str("client_ip", rec.clientIP).
		Str("method", method).
		Str("route", route).
		Int("status", status).
		Int("bytes", answer.BytesWritten()).
		Dur("duration_ms", took).
		Str("mode", rec.mode).
		Str("user", rec.user).
		Str("code", rec.code).
		Str("reason", rec.why()).
		Send()
	switch rec.audited {
	case audit.ClientToken:
		h.metrics.clientTokens.WithLabelValues(cmp.Or(rec.action, "unknown"), rec.outcome()).Inc()
	case audit.Link, audit.Unlink:
		if rec.code != "" { // else it counted above, if a link was made
			h.metrics.links.WithLabelValues(rec.code).Inc()
		}
	case audit.SignIn, audit.SignOut, audit.Directory, audit.Admin, audit.Opened: // have metrics elsewhere, or none
	}
}

// proxyRequestID is the id that a trusted proxy gave, so that its log and ours
// can be put side by side. A stranger's would be a stranger's text in the log.
func (h *handler) proxyRequestID(r *http.Request) string {
	given := r.Header.Get("X-Request-Id")
	if given != "" && auth.PeerWithin(r, h.TrustedProxies) && validRequestID(given) {
		return given
	}
	return ""
}

func validRequestID(id string) bool {
	if len(id) > 128 {
		return false
	}
	for _, c := range []byte(id) {
		switch {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z',
			c == '-', c == '_', c == '.', c == ':', c == '/', c == '+', c == '=':
		default:
			return false
		}
	}
	return true
}

// methods are those that a label or a log line may name.
func methods() []string {
	return []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut,
		http.MethodPatch, http.MethodDelete, http.MethodOptions,
	}
}

type metrics struct {
	requests     *prometheus.CounterVec   // route, method, code
	duration     *prometheus.HistogramVec // route, method
	inFlight     prometheus.Gauge
	clientTokens *prometheus.CounterVec // action, outcome
	links        *prometheus.CounterVec // outcome
	unreadable   prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dropgate_http_requests_total",
			Help: "Requests on the public listener by route pattern (none: no such route), method and status; 499 is a caller who went away.",
		}, []string{"route", "method", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "dropgate_http_request_duration_seconds",
			Help:    "Time from the head of a request to the end of its answer, Dwolla's part included.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .2, .35, .5, 1, 2.5, 5, 10, 25},
		}, []string{"route", "method"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "dropgate_http_requests_in_flight",
			Help: "Requests on the public listener that are being answered.",
		}),
		clientTokens: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dropgate_client_tokens_total",
			Help: "Requests for client tokens by action (unknown: none that is known) and outcome: vended, or the code of the error answer.",
		}, []string{"action", "outcome"}),
		links: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dropgate_customer_links_total",
			Help: "Customers that became the signed-in user's own (linked), at PUT /session/customer or with a client token, and refusals of the former by the code of the error answer.",
		}, []string{"outcome"}),
		unreadable: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "dropgate_forwarded_unreadable_total",
			Help: "Requests whose X-Forwarded-For, from a peer in TRUSTED_PROXIES, has no readable address behind the last proxy: the proxy's own address counts as the caller's.",
		}),
	}
	r.MustRegister(m.requests, m.duration, m.inFlight, m.clientTokens, m.links, m.unreadable)
	return m
}
