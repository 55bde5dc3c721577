package emulator

import (
	"io"
	"net/http"
	"sync"
	"time"
)

// Bounds of the emulator's memory. The oldest entries are evicted first. Customers
// and owners are never evicted.
const (
	maxAccessTokens    = 1_000
	maxClientTokens    = 100_000
	maxIdempotencyKeys = 10_000
)

// Options configures [New].
type Options struct {
	// ClientID and ClientSecret are the application's key and secret. Both are
	// required. Without them every request for an access token is refused.
	ClientID, ClientSecret string

	// AccessTokenLife is how long an access token is accepted. Zero means one
	// hour. Like Dwolla's, expires_in is one second shorter (3599 for an hour),
	// but at least one second.
	AccessTokenLife time.Duration

	// Now is the clock; nil means time.Now. It must be safe for concurrent use.
	// Webhooks carry its time, but their retries wait in real time.
	Now func() time.Time

	// WebhookFirstRetry is the pause before the first of 8 retries of a webhook.
	// Each further pause is twice as long. Zero means 100 ms, so 25.5 s in all.
	// Dwolla's retries take 72 hours.
	WebhookFirstRetry time.Duration

	// LinkRoot starts the links in answers and webhooks. Empty means the address of
	// the request, which clients behind other addresses may not know. Dwolla's own
	// root, https://api-sandbox.dwolla.com, is accepted in requests in any case.
	LinkRoot string

	// WebhookTransport sends the webhooks; nil means one without a proxy.
	WebhookTransport http.RoundTripper
}

// Emulator is the API, as an [http.Handler]. Create one with [New]. It is safe for
// concurrent use.
type Emulator struct {
	options  Options
	routes   map[string]methods // by path pattern
	webhooks *webhookSender

	// mu guards the fields below. It is never held while reading a request or
	// writing an answer.
	mu               sync.Mutex
	calls            map[Operation]int
	faults           map[Operation]Fault
	accessTokens     *boundedMap[time.Time] // expiry by token
	clientTokens     *boundedMap[*ClientToken]
	answered         *boundedMap[answered] // by Idempotency-Key
	customers        map[string]Customer
	correlationIDs   map[string]string // Customer ids by correlationId
	owners           map[string]BeneficialOwner
	ownersOf         map[string][]string // owner ids by Customer id, in order of creation
	fundingSources   map[string]FundingSource
	fundingSourcesOf map[string][]string      // funding source ids by Customer id, in order of creation
	microDeposits    map[string]microDeposits // by funding source id
	documents        map[string]Document
	documentsOf      map[string][]string // document ids by Customer or owner id, in order of creation
	accountID        string              // the application's own account, named in webhooks
	lastEvent        time.Time
	root             string // URL of the latest request's host, for links in webhooks
}

// New returns an emulator without Customers, tokens or faults.
func New(o Options) *Emulator {
	if o.AccessTokenLife <= 0 {
		o.AccessTokenLife = time.Hour
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	e := &Emulator{
		options:          o,
		calls:            map[Operation]int{},
		faults:           map[Operation]Fault{},
		accessTokens:     newBoundedMap[time.Time](maxAccessTokens),
		clientTokens:     newBoundedMap[*ClientToken](maxClientTokens),
		answered:         newBoundedMap[answered](maxIdempotencyKeys),
		customers:        map[string]Customer{},
		correlationIDs:   map[string]string{},
		owners:           map[string]BeneficialOwner{},
		ownersOf:         map[string][]string{},
		fundingSources:   map[string]FundingSource{},
		fundingSourcesOf: map[string][]string{},
		microDeposits:    map[string]microDeposits{},
		documents:        map[string]Document{},
		documentsOf:      map[string][]string{},
		webhooks:         newWebhookSender(o),
		accountID:        newUUID(),
		root:             "https://" + sandboxHost,
	}
	e.routes = e.table()
	return e
}

// ServeHTTP answers like Dwolla, or with an injected fault.
func (e *Emulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Request-Id", newUUID())
	path, id := pattern(r.URL.Path)
	methods, known := e.routes[path]
	endpoint, allowed := methods[r.Method]
	// /token has no CORS, because browsers must not hold the application's secret.
	browsers := path != tokenPath
	if browsers {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Access-Control-Expose-Headers", "Location, X-Request-Id")
	}
	switch {
	case browsers && r.Method == http.MethodOptions:
		preflight(w, r)
	case !known:
		write(w, refuse(http.StatusNotFound, "The requested resource was not found."))
	case !allowed:
		w.Header().Set("Allow", methods.String())
		write(w, refuse(http.StatusMethodNotAllowed, "The method is not allowed here."))
	default:
		e.serve(w, r, id, endpoint)
	}
}

func (e *Emulator) serve(w http.ResponseWriter, r *http.Request, id string, endpoint endpoint) {
	root := e.rootOf(r)
	fault := e.count(endpoint.op, root)
	// Read the body first: until then net/http does not notice a client leaving.
	body, err := io.ReadAll(io.LimitReader(r.Body, endpoint.maxBody()+1))
	if fault.spoil(w, r, endpoint.op) {
		return
	}
	c := call{request: r, root: root, id: id, body: body}
	switch {
	case err != nil:
		write(w, refuse(http.StatusBadRequest, "The request body could not be read."))
	case int64(len(body)) > endpoint.maxBody():
		write(w, tooLarge(endpoint))
	case endpoint.op == OpToken:
		write(w, endpoint.serve(c)) // /token checks its own credentials
	default:
		write(w, e.admit(endpoint, c))
	}
}

func tooLarge(endpoint endpoint) answer {
	if endpoint.form {
		return refuseAs(http.StatusRequestEntityTooLarge, "FileTooLarge", "Document requests are limited to 10 MiB.")
	}
	return refuse(http.StatusRequestEntityTooLarge, "The request body is larger than 1 MiB.")
}

// Calls counts the requests for op, including refused and faulty ones. Requests
// with a wrong method and CORS preflights are not counted.
func (e *Emulator) Calls(op Operation) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.calls[op]
}

// preflight lets a page of any origin send any request, so that the page can read
// the answer, a 404 or 405 included. Dwolla's own list of headers is not documented.
func preflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE")
	// The wildcard would not include Authorization.
	h.Set("Access-Control-Allow-Headers",
		orElse(r.Header.Get("Access-Control-Request-Headers"), "Accept, Authorization, Content-Type, Idempotency-Key"))
	h.Add("Vary", "Access-Control-Request-Headers")
	w.WriteHeader(http.StatusNoContent)
}
