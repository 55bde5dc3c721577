package dwolla

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"dropgate/internal/bulkhead"
	"dropgate/internal/clienttoken"
	"dropgate/internal/httpbody"
	"dropgate/internal/tracing"
)

// Config configures a Client. All fields but MaxConcurrent are required.
type Config struct {
	API          clienttoken.API
	ClientID     string
	ClientSecret clienttoken.Secret
	// Timeout bounds one attempt, from the first byte sent to the last byte
	// read. A call makes at most two attempts and, with all waiting, takes at most
	// twice as long.
	Timeout time.Duration
	// Base has the proxy of every connection. Nil means none.
	Base *http.Transport
	// MaxConcurrent limits concurrent attempts, without requests for an access
	// token. Zero means 256.
	MaxConcurrent int
	// TraceContext sends Dwolla the id and the trace of each request.
	TraceContext bool
	Logger       zerolog.Logger // for circuits and the access token, not for single calls
	Registerer   prometheus.Registerer
}

func (c Config) slots() int { return cmp.Or(c.MaxConcurrent, 256) }

// Client calls Dwolla's API as the application. It is safe for concurrent use.
type Client struct {
	api     clienttoken.API
	root    *url.URL // of the API
	timeout time.Duration
	// A bare transport never follows a redirect, which would send the access token
	// to an unchecked address.
	transport http.RoundTripper
	tokens    *accessTokens
	metrics   *metrics
	circuits  map[operation]*circuit
	bulkhead  *bulkhead.Bulkhead
	budget    *budget
	jitter    func(most time.Duration) time.Duration
	// traceContext sends the id and the trace of each request to Dwolla.
	traceContext bool
}

// New returns a client. It does not connect, so the service starts while Dwolla is
// down. The first call gets the access token.
func New(c Config) *Client {
	return newClient(c, newTransport(c.Base, c.slots()))
}

func newClient(c Config, transport http.RoundTripper) *Client {
	m := newMetrics(c.Registerer)
	root, err := url.Parse(c.API.Root())
	if err != nil {
		panic(err) // an API's root is a URL
	}
	client := &Client{
		api:       c.API,
		root:      root,
		timeout:   c.Timeout,
		transport: transport,
		tokens:    newAccessTokens(c, transport, m),
		metrics:   m,
		circuits:  map[operation]*circuit{},
		bulkhead:  bulkhead.New(c.slots()),
		budget:    newBudget(),
		jitter:    upTo,

		traceContext: c.TraceContext,
	}
	for _, op := range operations() {
		circuit := newCircuit(op, c.Timeout, c.Logger)
		client.circuits[op] = circuit
		gaugeState(c.Registerer, op, circuit.state)
		gaugeFailing(c.Registerer, op, circuit.failing)
	}
	gaugeFailing(c.Registerer, opToken, func() float64 {
		if client.Fault() != nil {
			return 1
		}
		return 0
	})
	gaugeState(c.Registerer, opToken, client.tokens.state)
	gauge(c.Registerer, prometheus.GaugeOpts{
		Name: "dropgate_dwolla_in_flight",
		Help: "Requests to Dwolla in progress, without requests for an access token.",
	}, func() float64 { return float64(client.bulkhead.Taken()) })
	return client
}

// Close ends the background refresh of the access token and idle connections.
// Calls in progress continue.
func (c *Client) Close() {
	c.tokens.close()
	(&http.Client{Transport: c.transport}).CloseIdleConnections()
}

// mediaType is the only value Dwolla's API accepts in Accept.
const mediaType = "application/vnd.dwolla.v1.hal+json"

// maxBody bounds an answer, in bytes. Dwolla's have a few kilobytes.
const maxBody = 1 << 20

// call is one call of the API.
type call struct {
	operation operation
	method    string
	path      string             // below the root of the API
	body      []byte             // JSON, or nil
	read      func(answer) error // reads a successful answer
	retry     retryReason        // set for the second attempt
}

// answer is a successful answer.
type answer struct {
	status    int
	body      []byte
	requestID string
}

// tried is the outcome of one attempt, or the reason it was not sent.
type tried struct {
	fault *Error // nil for a success
	stale bool   // its access token was rejected, and another call has already discarded it
	err   error  // not sent: a *clienttoken.Failure or the end of the caller's context
}

// do makes the call and retries it at most once, with a new access token if the
// old one was rejected. Errors are *clienttoken.Failure or the end of the caller's
// context.
func (c *Client) do(ctx context.Context, call *call) error {
	// A deadline instead of a context saves each call a timer.
	deadline := time.Now().Add(2 * c.timeout)
	last := c.try(ctx, call, deadline)
	if last.err != nil {
		return last.err
	}
	c.budget.count()
	if last.fault == nil {
		return nil
	}
	if reason := last.fault.retryReason(); reason != noRetry && ctx.Err() == nil {
		// An expired access token costs one retry, however many calls used it.
		if !last.stale && !c.budget.spend() {
			c.metrics.reject(overBudget)
			return last.fault.failure()
		}
		if sleep(ctx, min(c.jitter(retryPause), time.Until(deadline))); ctx.Err() == nil && time.Now().Before(deadline) {
			c.metrics.retries.WithLabelValues(string(call.operation), string(reason)).Inc()
			call.retry = reason
			last = c.try(ctx, call, deadline)
		}
	}
	return last.conclusion(ctx)
}

// conclusion returns the error of the call.
func (t tried) conclusion(ctx context.Context) error {
	if t.err != nil || t.fault == nil {
		return t.err
	}
	if err := callersOwn(ctx); err != nil {
		return err
	}
	failure := t.fault.failure()
	if t.fault.Status == http.StatusUnauthorized && !t.fault.accessTokenRejected() {
		failure.Remedy = "Dwolla refuses this application: check DWOLLA_CLIENT_ID, DWOLLA_CLIENT_SECRET and DWOLLA_ENVIRONMENT, and the application's status in Dwolla's dashboard"
	}
	return failure
}

// try makes an attempt if the circuit, the access token and the bulkhead allow it.
func (c *Client) try(ctx context.Context, call *call, deadline time.Time) (t tried) {
	passage, rejected := c.circuits[call.operation].enter()
	if rejected != nil {
		c.metrics.reject(rejected.reason)
		return tried{err: rejected.failure()}
	}
	says := inconclusive // also of a panic
	defer func() { passage.settle(says, t.fault) }()
	token, err := c.accessToken(ctx, deadline)
	if err != nil {
		return tried{err: err}
	}
	if t.err = c.takeSlot(ctx, deadline); t.err != nil {
		return t
	}
	defer c.bulkhead.Leave()
	end := time.Now().Add(c.timeout)
	if end.After(deadline) {
		end = deadline
	}
	began := time.Now()
	t.fault = c.attempt(ctx, call, token.secret, end)
	passage.took = time.Since(began)
	if says = judge(ctx, t.fault); says == faulty && t.fault.timedOut() && end.Equal(deadline) {
		says = inconclusive // the attempt did not have its full time
	}
	if t.fault != nil && t.fault.accessTokenRejected() {
		t.stale = !c.tokens.discard(token, t.fault)
	} else if says == healthy {
		c.tokens.accepted()
	}
	return t
}

// accessToken waits for an access token.
func (c *Client) accessToken(ctx context.Context, deadline time.Time) (*accessToken, error) {
	ctx, span := tracing.Start(ctx, "access token")
	defer span.End()
	return c.tokens.getBefore(ctx, deadline)
}

// takeSlot waits for a slot of the bulkhead.
func (c *Client) takeSlot(ctx context.Context, deadline time.Time) error {
	ctx, span := tracing.Start(ctx, "slot")
	defer span.End()
	var rejected rejectedError
	switch err := c.bulkhead.Enter(ctx, deadline); {
	case err == nil:
		return nil
	case errors.Is(err, bulkhead.ErrFull):
		rejected = rejectedError{queueFull, soon}
	case errors.Is(err, bulkhead.ErrTimeout):
		rejected = rejectedError{queueTimeout, soon}
	default:
		return callersOwn(ctx)
	}
	span.Fail(string(rejected.reason))
	c.metrics.reject(rejected.reason)
	return rejected.failure()
}

// attempt sends the call once and reads the answer, until end.
func (c *Client) attempt(ctx context.Context, call *call, token clienttoken.Secret, end time.Time) *Error {
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	ctx, span := tracing.StartCall(ctx, "dwolla")
	start := time.Now()
	got, fault := c.send(ctx, call, token)
	c.metrics.observe(ctx, call.operation, time.Since(start), fault)
	endAttempt(span, call, got, fault)
	if fault != nil {
		return fault
	}
	if err := call.read(got); err != nil {
		return nonsense(call.operation, got, err)
	}
	return nil
}

func (c *Client) send(ctx context.Context, call *call, token clienttoken.Secret) (answer, *Error) {
	fault := &Error{Operation: call.operation}
	req, err := http.NewRequestWithContext(ctx, call.method, "", bytes.NewReader(call.body))
	if err != nil {
		fault.Err = err
		return answer{}, fault
	}
	req.URL = new(*c.root)
	req.URL.Path += call.path
	req.Header = http.Header{
		"Accept":        {mediaType},
		"Authorization": {"Bearer " + token.Reveal()},
		"User-Agent":    {"dropgate"},
	}
	if call.body != nil {
		req.Header["Content-Type"] = []string{"application/json"}
	}
	if c.traceContext {
		tracing.Propagate(ctx, req.Header)
	}
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		fault.Err = httpbody.RedactError(err)
		return answer{}, fault
	}
	defer func() { _ = resp.Body.Close() }()
	fault.readHead(resp)
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	switch {
	case err != nil:
		fault.Err = fmt.Errorf("reading the answer: %w", httpbody.RedactError(err))
		return answer{}, fault
	case len(body) > maxBody:
		fault.Err = errTooLarge
		return answer{}, fault
	case resp.StatusCode/100 != 2:
		fault.read(body)
		return answer{}, fault
	}
	return answer{status: fault.Status, body: body, requestID: fault.RequestID}, nil
}

// decode reads a successful answer into v. It replaces json's error, which quotes
// names from the answer.
func (a answer) decode(v any) error {
	if err := json.Unmarshal(a.body, v); err != nil {
		return errUnreadable
	}
	return nil
}

// bufferSize fits most requests and answers. Larger ones need another system call.
const bufferSize = 2 << 10

// newTransport keeps enough idle connections for all concurrent calls and one
// request for an access token. HTTP/2 shares a few connections.
func newTransport(base *http.Transport, calls int) *http.Transport {
	t := &http.Transport{}
	if base != nil {
		t = base.Clone()
	}
	t.DialContext = (&net.Dialer{Timeout: 3 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	t.TLSHandshakeTimeout = 5 * time.Second
	t.ForceAttemptHTTP2 = true
	t.MaxIdleConns = calls + 1
	t.MaxIdleConnsPerHost = calls + 1
	t.IdleConnTimeout = 90 * time.Second
	t.WriteBufferSize = bufferSize
	t.ReadBufferSize = bufferSize
	t.MaxResponseHeaderBytes = 64 << 10
	t.DisableCompression = true // answers are small, and unexpected compressed data is not inflated
	// Pings detect dead connections.
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second}
	return t
}
