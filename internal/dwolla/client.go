package dwolla

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"dropgate/internal/clienttoken"
)

// Config is what a Client needs. All fields are required.
type Config struct {
	API          clienttoken.API
	ClientID     string
	ClientSecret clienttoken.Secret
	// Timeout bounds one attempt, from the first byte sent to the last byte
	// read. A call is at most two attempts and two requests for an access
	// token, so at most four times as long.
	Timeout    time.Duration
	Logger     zerolog.Logger // for what happens outside of a call: renewing the access token
	Registerer prometheus.Registerer
}

// Client calls Dwolla's API as the application. It is safe for concurrent use.
type Client struct {
	api     clienttoken.API
	timeout time.Duration
	// A bare transport never follows a redirect, which would carry the access
	// token to an address nobody checked.
	transport *http.Transport
	tokens    *accessTokens
	metrics   *metrics
}

// New returns a client. It does not connect: the first call gets the access
// token, so that the service starts while Dwolla is down.
func New(c Config) *Client {
	m := newMetrics(c.Registerer)
	transport := newTransport()
	return &Client{
		api:       c.API,
		timeout:   c.Timeout,
		transport: transport,
		tokens:    newAccessTokens(c, transport, m),
		metrics:   m,
	}
}

// Close ends the background refresh of the access token and idle connections.
// Calls that are under way go on.
func (c *Client) Close() {
	c.tokens.close()
	c.transport.CloseIdleConnections()
}

// mediaType is the only one that Dwolla's API accepts in Accept.
const mediaType = "application/vnd.dwolla.v1.hal+json"

// maxBody bounds what is read of an answer. Dwolla's are a few kilobytes.
const maxBody = 1 << 20

// call is one call of the API.
type call struct {
	operation operation
	method    string
	url       string
	body      []byte // JSON, or nil
}

// answer is a successful answer.
type answer struct {
	status    int
	body      []byte
	requestID string
}

// do makes the call. When Dwolla says that the access token is no longer good,
// it gets a new one and tries exactly once more. Every error is a
// *clienttoken.Failure, but for the end of the caller's own context.
func (c *Client) do(ctx context.Context, call call) (answer, error) {
	token, err := c.tokens.get(ctx)
	if err != nil {
		return answer{}, err
	}
	got, fault := c.attempt(ctx, call, token)
	if fault != nil && fault.accessTokenRejected() {
		c.tokens.discard(token)
		if token, err = c.tokens.get(ctx); err != nil {
			return answer{}, err
		}
		got, fault = c.attempt(ctx, call, token)
	}
	if fault == nil {
		return got, nil
	}
	if err := callersOwn(ctx); err != nil {
		return answer{}, err
	}
	failure := fault.failure()
	if fault.Status == http.StatusUnauthorized {
		failure.Mend = "Dwolla refuses this application: check DWOLLA_CLIENT_ID, DWOLLA_CLIENT_SECRET and DWOLLA_ENVIRONMENT, and the application's status in Dwolla's dashboard"
	}
	return answer{}, failure
}

// attempt sends the call once.
func (c *Client) attempt(ctx context.Context, call call, token accessToken) (answer, *Error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	start := time.Now()
	got, fault := c.send(ctx, call, token)
	c.metrics.observe(call.operation, time.Since(start), fault)
	return got, fault
}

func (c *Client) send(ctx context.Context, call call, token accessToken) (answer, *Error) {
	fault := &Error{Operation: call.operation}
	req, err := http.NewRequestWithContext(ctx, call.method, call.url, bytes.NewReader(call.body))
	if err != nil {
		fault.Err = err
		return answer{}, fault
	}
	req.Header = http.Header{
		"Accept":        {mediaType},
		"Authorization": {"Bearer " + token.secret.Reveal()},
		"User-Agent":    {"dropgate"},
	}
	if call.body != nil {
		req.Header["Content-Type"] = []string{"application/json"}
	}
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		fault.Err = unquoting(err)
		return answer{}, fault
	}
	defer func() { _ = resp.Body.Close() }()
	fault.answered(resp)
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	switch {
	case err != nil:
		fault.Err = fmt.Errorf("reading the answer: %w", unquoting(err))
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

// decode reads a successful answer into v. What cannot be read is nonsense of
// Dwolla's, so a Failure.
func (a answer) decode(op operation, v any) error {
	if err := json.Unmarshal(a.body, v); err != nil {
		return nonsense(op, a, fmt.Errorf("reading the answer: %w", err))
	}
	return nil
}

// newTransport is sized for hundreds of calls at a time to one host: over
// HTTP/1.1 each of them keeps its connection, over HTTP/2 they share a few.
func newTransport() *http.Transport {
	const parallel = 512
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 3 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    5 * time.Second,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           parallel,
		MaxIdleConnsPerHost:    parallel,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		// Answers are small; and nothing has to be inflated that was not asked for.
		DisableCompression: true,
		// A connection whose other end has vanished is found out and replaced.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second},
	}
}
