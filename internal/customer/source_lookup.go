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
)

// LookupConfig says where to ask for a user's Customer. API and URL are
// required.
type LookupConfig struct {
	API clienttoken.API
	// URL of the application, with {user} in the place of the user's id:
	// https://app.internal/users/{user}/dwolla-customer. It answers 200 with
	// {"customer": …}, the id or URL of a Customer. For none it answers in JSON:
	// 404, or 200 with null or {"customer": null}. Where ids
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
		return clienttoken.CustomerURL{}, lookupFault(httpbody.ErrNotHTTP, "")
	}
	req.Header.Set("Accept", "application/json")
	if !l.token.IsZero() {
		req.Header.Set("Authorization", "Bearer "+l.token.Reveal())
	}
	resp, err := l.transport.RoundTrip(req)
	if err != nil {
		return clienttoken.CustomerURL{}, connectionFault(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := statusFault(resp.StatusCode); err != nil {
		return clienttoken.CustomerURL{}, err
	}
	return l.read(resp)
}

// statusFault is an outage for every status but 200 and 404.
func statusFault(status int) error {
	fault := fmt.Errorf("the application answered %d", status)
	switch {
	case status == http.StatusOK, status == http.StatusNotFound:
		return nil
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return lookupFault(fault, "the application does not accept CUSTOMER_LOOKUP_TOKEN")
	case status >= 300 && status < 400:
		return lookupFault(fault, "CUSTOMER_LOOKUP_URL leads to a redirect, which is never followed")
	default:
		return lookupFault(fault, "")
	}
}

// What the operator has to mend.
const (
	mendShape = `CUSTOMER_LOOKUP_URL has to answer {"customer": "the id or URL of a Customer"}, or for none 404, null or {"customer": null}, as application/json`
	mendPage  = "the 404 behind CUSTOMER_LOOKUP_URL is not JSON, so a proxy or a wrong path may have caused it: for a user without a Customer the application has to answer application/json"
)

// read reads an answer of 200 or 404. Only JSON can say "none". Another page may
// be a proxy's own, and a user who wrongly has no Customer could create a second
// one.
func (l *Lookup) read(resp *http.Response) (clienttoken.CustomerURL, error) {
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxLookup+1))
	if err != nil {
		return clienttoken.CustomerURL{}, connectionFault(err)
	}
	missing := resp.StatusCode == http.StatusNotFound
	read := namedCustomer
	if missing {
		read = contradiction
	}
	named, err := read(text)
	switch {
	case missing && (err != nil || !isJSON(resp.Header) || named != ""):
		return clienttoken.CustomerURL{}, lookupFault(errors.New("the application answered 404, but not in JSON or beside a Customer"), mendPage)
	case err != nil:
		return clienttoken.CustomerURL{}, lookupFault(err, mendShape)
	case named == "" && !isJSON(resp.Header):
		return clienttoken.CustomerURL{}, lookupFault(errors.New("the application's answer names no Customer, and its Content-Type is not JSON"), mendShape)
	case named == "":
		return clienttoken.CustomerURL{}, clienttoken.ErrNoCustomer
	}
	customer, err := clienttoken.ParseCustomer(l.api, named)
	if err != nil { // it quotes the answer
		return clienttoken.CustomerURL{}, lookupFault(fmt.Errorf("the application's answer names no Customer of %s", l.api.Root()), mendShape)
	}
	return customer, nil
}

// errShape does not quote the answer, as the error of a JSON decoder would.
var errShape = fmt.Errorf("the application's answer has another shape, or more than %d bytes", maxLookup)

// lookupAnswer is the application's answer. A null leaves a pointer to it nil.
type lookupAnswer struct {
	Customer jsontext.Value `json:"customer"`
}

// namedCustomer returns the Customer in the body of a 200, and "" for none.
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

// contradiction returns the Customer in the body of a 404, and "" for none. The
// body may be any JSON value, or empty.
func contradiction(text []byte) (string, error) {
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

// named returns the Customer, and "" for a null.
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

// isJSON reports whether the one Content-Type is application/json or a type with
// the suffix +json (RFC 6839), such as application/problem+json.
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

// connectionFault is the outage for a request or an answer that failed halfway.
func connectionFault(err error) *clienttoken.Failure {
	var timeout net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return lookupFault(errTooLate, "")
	}
	return lookupFault(httpbody.RedactError(err), "")
}

// lookupFault is the answer when the application cannot say whose Customer it
// is: an outage, and never "none". Remedy is for what does not pass by itself.
func lookupFault(err error, mend string) *clienttoken.Failure {
	return &clienttoken.Failure{
		Code:       clienttoken.Unavailable,
		RetryAfter: 5 * time.Second,
		Err:        fmt.Errorf("asking the application whose Customer it is: %w", err),
		Remedy:     mend,
	}
}
