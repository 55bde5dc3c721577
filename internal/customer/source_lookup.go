package customer

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"dropgate/internal/clienttoken"
	"dropgate/internal/httpbody"
	"dropgate/internal/rotation"
	"dropgate/internal/tracing"
)

// LookupConfig configures a Lookup. API and URL are required.
type LookupConfig struct {
	API clienttoken.API
	// URL of the application, with {user} in place of the user id, such as
	// https://app.internal/users/{user}/dwolla-customer. For a user's Customer it
	// answers 200 with {"customer": "<id or URL>"}. For none it answers JSON: 404, or
	// 200 with null or {"customer": null}. If ids contain slashes or percent signs,
	// put {user} into the query: some servers answer 404 to escapes in a path.
	URL string
	// Token is sent as a bearer token, unless it is empty. There may be several, one
	// per line.
	Token clienttoken.Secret
	// Refused is called when the application refuses a token for the first time since
	// a change, and another one is tried. It may be nil.
	Refused func()
	// Outcome is called after each call. An error means that the application does not
	// work. It may be nil.
	Outcome   func(error)
	Transport http.RoundTripper
}

// Lookup finds a user's Customer with a request to the application. It sends nothing
// of the user but the id. Wrap it in a [CachedSource].
type Lookup struct {
	api     clienttoken.API
	url     lookupURL
	token   *rotation.Secret
	refused func()
	outcome func(error)
	// transport is used without an http.Client, which would follow redirects and put
	// the URL with the user id into errors.
	transport http.RoundTripper
}

const (
	lookupTimeout = 5 * time.Second
	maxLookup     = 16 << 10 // bytes of an answer
)

// NewLookup returns a lookup. An error is about the URL, without quoting it.
func NewLookup(c LookupConfig) (*Lookup, error) {
	url, err := parseLookupURL(c.URL)
	if err != nil {
		return nil, err
	}
	return &Lookup{
		api:       c.API,
		url:       url,
		token:     rotation.New(c.Token),
		refused:   c.Refused,
		outcome:   c.Outcome,
		transport: cmp.Or(c.Transport, http.DefaultTransport),
	}, nil
}

// Customer returns the Customer in the application's answer, or
// clienttoken.ErrNoCustomer. Any other error is a *clienttoken.Failure or that of ctx.
// It never contains the user id, nor more of the answer than its status.
func (l *Lookup) Customer(ctx context.Context, user clienttoken.User) (clienttoken.CustomerURL, error) {
	ctx, span := tracing.StartCall(ctx, "lookup")
	defer span.End()
	customer, err := l.ask(ctx, user.ID)
	failed(span, err)
	if err != nil && ctx.Err() != nil {
		return clienttoken.CustomerURL{}, fmt.Errorf("asking the application: %w", ctx.Err())
	}
	return customer, err
}

func (l *Lookup) ask(ctx context.Context, userID string) (clienttoken.CustomerURL, error) {
	address, err := l.url.of(userID)
	if err != nil {
		return clienttoken.CustomerURL{}, lookupFault(err, "use other user ids, or put {user} into the query of CUSTOMER_LOOKUP_URL")
	}
	customer, err := l.call(ctx, address)
	if l.outcome != nil && ctx.Err() == nil {
		if errors.Is(err, clienttoken.ErrNoCustomer) {
			l.outcome(nil)
		} else {
			l.outcome(err)
		}
	}
	return customer, err
}

// call asks the application at the address of a user.
func (l *Lookup) call(ctx context.Context, address string) (clienttoken.CustomerURL, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	resp, err := l.send(ctx, address)
	if err != nil {
		return clienttoken.CustomerURL{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	tracing.Current(ctx).SetInt(tracing.Status, resp.StatusCode)
	if err := statusFault(resp.StatusCode); err != nil {
		return clienttoken.CustomerURL{}, err
	}
	return l.read(resp)
}

// statusFault returns an outage for every status but 200 and 404.
func statusFault(status int) error {
	fault := fmt.Errorf("the application answered %d", status)
	switch {
	case status == http.StatusOK, status == http.StatusNotFound:
		return nil
	case tokenRefused(status):
		return lookupFault(fault, "the application does not accept CUSTOMER_LOOKUP_TOKEN")
	case status >= 300 && status < 400:
		return lookupFault(fault, "CUSTOMER_LOOKUP_URL redirects, and redirects are not followed")
	default:
		return lookupFault(fault, "")
	}
}

// Remedies for the operator.
const (
	remedyShape = `CUSTOMER_LOOKUP_URL must answer {"customer": "the id or URL of a Customer"}, or for none 404, null or {"customer": null}, as application/json or another JSON type`
	remedyPage  = "the 404 of CUSTOMER_LOOKUP_URL is not JSON, so it may come from a proxy or a wrong path: for a user without a Customer the application must answer application/json or another JSON type"
)

// read reads an answer with status 200 or 404. Only JSON counts as "none": another
// page may come from a proxy, and a user without a Customer could create a second one.
func (l *Lookup) read(resp *http.Response) (clienttoken.CustomerURL, error) {
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxLookup+1))
	if err != nil {
		return clienttoken.CustomerURL{}, connectionFault(err)
	}
	missing := resp.StatusCode == http.StatusNotFound
	read := namedCustomer
	if missing {
		read = customerIn404
	}
	named, err := read(text)
	switch {
	case missing && (err != nil || !isJSON(resp.Header) || named != ""):
		return clienttoken.CustomerURL{}, lookupFault(errors.New("the application answered 404 without JSON, or with a Customer"), remedyPage)
	case err != nil:
		return clienttoken.CustomerURL{}, lookupFault(err, remedyShape)
	case named == "" && !isJSON(resp.Header):
		return clienttoken.CustomerURL{}, lookupFault(errors.New("the application's answer names no Customer, and its Content-Type is not JSON"), remedyShape)
	case named == "":
		return clienttoken.CustomerURL{}, clienttoken.ErrNoCustomer
	}
	customer, err := clienttoken.ParseCustomer(l.api, named)
	if err != nil { // it quotes the answer
		return clienttoken.CustomerURL{}, lookupFault(fmt.Errorf("the application's answer names no Customer of %s", l.api.Root()), remedyShape)
	}
	return customer, nil
}

// errShape does not quote the answer, unlike a JSON decoder's error.
var errShape = fmt.Errorf("the application's answer is malformed, or has more than %d bytes", maxLookup)

// lookupAnswer is the application's answer. null leaves a pointer to it nil.
type lookupAnswer struct {
	Customer jsontext.Value `json:"customer"`
}

// namedCustomer returns the Customer in the body of a 200, or "" for none.
func namedCustomer(text []byte) (string, error) {
	var answer *lookupAnswer
	if len(text) > maxLookup || json.Unmarshal(text, &answer) != nil {
		return "", errShape
	}
	if answer == nil {
		return "", nil
	}
	return answer.named()
}

// customerIn404 returns the Customer in the body of a 404, or "" for none. The body
// may be any JSON value, or empty.
func customerIn404(text []byte) (string, error) {
	if len(text) > maxLookup {
		return "", errShape
	}
	text = bytes.TrimSpace(text)
	if len(text) > 0 && !jsontext.Value(text).IsValid() {
		return "", errShape
	}
	if !bytes.HasPrefix(text, []byte("{")) {
		return "", nil
	}
	var answer lookupAnswer
	if json.Unmarshal(text, &answer) != nil {
		return "", errShape
	}
	if answer.Customer == nil {
		return "", nil
	}
	return answer.named()
}

// named returns the Customer, or "" for null.
func (a lookupAnswer) named() (string, error) {
	if a.Customer.Kind() == 'n' {
		return "", nil
	}
	var named string
	if a.Customer == nil || json.Unmarshal(a.Customer, &named) != nil || named == "" {
		return "", errShape
	}
	return named, nil
}

// isJSON reports whether the only Content-Type is application/json or has the suffix
// +json (RFC 6839), like application/problem+json.
func isJSON(header http.Header) bool {
	types := header["Content-Type"]
	if len(types) != 1 {
		return false
	}
	media, _, err := mime.ParseMediaType(types[0])
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		return false
	}
	return media == "application/json" || strings.HasSuffix(media, "+json")
}

var errTooLate = fmt.Errorf("no answer within %v", lookupTimeout)

// connectionFault returns the outage for a request or answer that failed midway.
func connectionFault(err error) *clienttoken.Failure {
	var timeout net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return lookupFault(errTooLate, "")
	}
	return lookupFault(httpbody.RedactError(err), "")
}

// lookupFault returns the outage for an application without a usable answer. Remedy is
// for faults that need an operator.
func lookupFault(err error, remedy string) *clienttoken.Failure {
	return &clienttoken.Failure{
		Code:       clienttoken.Unavailable,
		RetryAfter: 5 * time.Second,
		Err:        fmt.Errorf("asking the application for the user's Customer: %w", err),
		Remedy:     remedy,
	}
}
