package customer

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"

	"dropgate/internal/clienttoken"
)

// LookupConfig says where to ask for a user's Customer. API and URL are
// required.
type LookupConfig struct {
	API clienttoken.API
	// URL of the application, with {user} in the place of the user's id:
	// https://app.internal/users/{user}/dwolla-customer. It answers 200 with
	// {"customer": …}, the id or URL of a Customer, or 404 for none. Where ids
	// hold slashes or percent signs, {user} should stand in the query: in a path
	// they are escaped, and some servers answer 404 to that by themselves.
	URL string
	// Token is sent as a bearer token; empty: none is sent.
	Token     clienttoken.Secret
	Transport http.RoundTripper
}

// Lookup is the source of an application that knows its users' Customers and
// can be asked. It looks at nothing of the user but the id ([Remember]).
type Lookup struct {
	api   clienttoken.API
	url   lookupURL
	token clienttoken.Secret
	// transport is asked without a client around it: a client would follow
	// redirects, and put the address with the user's id into its errors.
	transport http.RoundTripper
}

const (
	lookupTimeout = 5 * time.Second
	maxLookup     = 16 << 10 // bytes of the application's answer
)

// NewLookup returns the source. An error is about the URL, and does not quote
// it.
func NewLookup(c LookupConfig) (*Lookup, error) {
	url, err := parseLookupURL(c.URL)
	if err != nil {
		return nil, err
	}
	return &Lookup{
		api:       c.API,
		url:       url,
		token:     c.Token,
		transport: cmp.Or(c.Transport, http.DefaultTransport),
	}, nil
}

// Customer returns the Customer that the application names, or
// clienttoken.ErrNoCustomer. An error that is neither that nor the end of ctx
// is a *clienttoken.Failure, and holds neither the user's id nor anything of
// the answer but its status.
func (l *Lookup) Customer(ctx context.Context, user clienttoken.User) (clienttoken.CustomerURL, error) {
	customer, err := l.ask(ctx, user.ID)
	if err != nil && ctx.Err() != nil {
		return clienttoken.CustomerURL{}, fmt.Errorf("asking the application: %w", ctx.Err())
	}
	return customer, err
}

func (l *Lookup) ask(ctx context.Context, userID string) (clienttoken.CustomerURL, error) {
	address, err := l.url.of(userID)
	if err != nil {
		return clienttoken.CustomerURL{}, lookupFault(err, "name users otherwise, or put {user} into the query of CUSTOMER_LOOKUP_URL")
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return clienttoken.CustomerURL{}, lookupFault(errNotHTTP, "")
	}
	req.Header.Set("Accept", "application/json")
	if !l.token.IsZero() {
		req.Header.Set("Authorization", "Bearer "+l.token.Reveal())
	}
	resp, err := l.transport.RoundTrip(req)
	if err != nil {
		return clienttoken.CustomerURL{}, lookupFault(unquoting(err), "")
	}
	defer func() { _ = resp.Body.Close() }()
	if err := statusFault(resp.StatusCode); err != nil {
		return clienttoken.CustomerURL{}, err
	}
	return l.read(resp.Body)
}

// statusFault is what a status means that is not 200, else nil.
func statusFault(status int) error {
	fault := fmt.Errorf("the application answered %d", status)
	switch {
	case status == http.StatusOK:
		return nil
	case status == http.StatusNotFound:
		return clienttoken.ErrNoCustomer
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return lookupFault(fault, "the application does not accept CUSTOMER_LOOKUP_TOKEN")
	case status >= 300 && status < 400:
		return lookupFault(fault, "CUSTOMER_LOOKUP_URL leads to a redirect, which is never followed")
	default:
		return lookupFault(fault, "")
	}
}

// read reads the application's answer. One that names no Customer is not "no
// Customer", which only a 404 says: the user could create a second one.
func (l *Lookup) read(body io.Reader) (clienttoken.CustomerURL, error) {
	text, err := io.ReadAll(io.LimitReader(body, maxLookup+1))
	if err != nil {
		return clienttoken.CustomerURL{}, lookupFault(unquoting(err), "")
	}
	var answer struct {
		Customer string `json:"customer"`
	}
	const mend = `the answer behind CUSTOMER_LOOKUP_URL has to be {"customer": "the id or URL of a Customer"}, or a 404 for none`
	if len(text) > maxLookup || json.Unmarshal(text, &answer) != nil { // the error would quote the answer
		return clienttoken.CustomerURL{}, lookupFault(fmt.Errorf("the application's answer is not of that shape, or longer than %d bytes", maxLookup), mend)
	}
	customer, err := clienttoken.ParseCustomer(l.api, answer.Customer)
	if err != nil { // it quotes the answer
		return clienttoken.CustomerURL{}, lookupFault(fmt.Errorf("the application's answer names no Customer of %s", l.api.Root()), mend)
	}
	return customer, nil
}

var (
	errNotHTTP = errors.New("no answer, or one that is not HTTP")
	errTooLate = fmt.Errorf("no answer within %v", lookupTimeout)
)

// unquoting is err where it speaks of the connection alone: net/http's errors
// about a malformed answer quote it.
func unquoting(err error) error {
	var timeout net.Error
	var op *net.OpError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return errTooLate
	case errors.As(err, &op):
		return op
	case errors.As(err, &certificate):
		return certificate
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return io.ErrUnexpectedEOF
	default:
		return errNotHTTP
	}
}

// lookupFault is the answer when the application cannot say whose Customer it
// is: an outage, and never "none". Mend is for what does not pass by itself.
func lookupFault(err error, mend string) *clienttoken.Failure {
	return &clienttoken.Failure{
		Code:       clienttoken.Unavailable,
		RetryAfter: 5 * time.Second,
		Err:        fmt.Errorf("asking the application whose Customer it is: %w", err),
		Mend:       mend,
	}
}
