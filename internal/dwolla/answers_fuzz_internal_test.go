package dwolla

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"dropgate/internal/clienttoken"
)

// fuzzedAnswer is Dwolla's answer to one operation. All other requests succeed.
type fuzzedAnswer struct {
	to        operation
	status    int
	header    http.Header
	body      []byte
	presented string // the access token that the API got
	log       bytes.Buffer
}

func (a *fuzzedAnswer) RoundTrip(r *http.Request) (*http.Response, error) {
	isToken := r.URL.Path == "/token"
	if !isToken {
		a.presented = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	}
	if isToken == (a.to == opToken) {
		return &http.Response{StatusCode: a.status, Header: a.header.Clone(), Body: io.NopCloser(bytes.NewReader(a.body)), Request: r}, nil
	}
	body := `{"access_token":"another-one","token":"the-client-token"}`
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

// client has an access token already, unless the answer is to the request for
// one, and never waits.
func (a *fuzzedAnswer) client(tb testing.TB) *Client {
	tb.Helper()
	api, err := clienttoken.NewAPI(clienttoken.Sandbox, "")
	if err != nil {
		tb.Fatal(err)
	}
	c := newClient(Config{
		API: api, ClientID: "key", ClientSecret: clienttoken.NewSecret("s3cret"), Timeout: time.Minute, MaxConcurrent: 1,
		Logger: zerolog.New(&a.log), Registerer: prometheus.NewRegistry(),
	}, a)
	c.jitter = func(time.Duration) time.Duration { return 0 }
	if later := time.Now().Add(time.Hour); a.to != opToken {
		c.tokens.current = &accessToken{secret: clienttoken.NewSecret("the-access-token"), renew: later, expires: later}
	}
	return c
}

// FuzzEveryAnswer covers all calls with any answer and headers. Each call returns
// data of the requested Customer, or a Failure with a bounded wait and no quote
// beyond single words.
func FuzzEveryAnswer(f *testing.F) {
	const owner = "07d59716-ef22-4fe6-98e8-f3190233dfb8"
	for op, bodies := range [][]string{
		{`{"token":"4adF858jPeQ9RnojMHdqSD2KwsvmhO7Ti7cI5woOiBGCpH5krY"}`, `{}`},
		{
			`{"id":"` + goodCustomer + `","status":"verified","correlationId":"dg1.abc"}`, `{"ID":"` + strings.ToUpper(goodCustomer) + `"}`, `{"id":"` + owner + `","correlationId":"dg1.abc"}`,
			`{"id":"` + owner + `","id":"` + goodCustomer + `"}`, `{"correlationId":"dg1.abc"}`, `{"id":"` + goodCustomer + `","correlationId":7}`, `{"id":"` + goodCustomer + `/../x"}`,
		},
		{
			`{"_links":{"self":{"href":"https://api-sandbox.dwolla.com/customers/` + goodCustomer + `/beneficial-owners"}},"_embedded":{"beneficial-owners":[{"id":"` + owner + `"},{"id":"` + strings.ToUpper(owner) + `"}]}}`, `{"_embedded":{"beneficial-owners":[]}}`, `{"_embedded":{"beneficial-owners":[null]}}`,
			`{"_embedded":{"beneficial-owners":[{"id":"../` + owner + `"}]}}`, `{"_embedded":7}`,
		},
		{`{"access_token":"an-access-token-of-the-answer","expires_in":3599}`, `{"access_token":"an-access-token-of-the-answer","expires_in":"1"}`, `{"access_token":"","expires_in":1}`, `{"access_token":"a","expires_in":-1}`, `access_token=a-form-of-an-access-token`, `{"access_token":"a","expires_in":1e300}`},
	} {
		for _, body := range append(bodies, "", "null", "[]", "<html>", `{"code":"NotFound"}`, `{"code":"Forbidden","message":"a message that nobody should see"}`, `{"code":"ExpiredAccessToken"}`, `{"code":"a sentence that nobody should see"}`, `{"code":"4adF858jPeQ9RnojMHdqSD2KwsvmhO7Ti7cI5woOiBGCpH5krY"}`, `{"error":"invalid_client"}`) {
			for i, after := range []string{"", "7", "0", "-5", "601", "99999999999999999999", "+5", "1.5", "Wed, 21 Oct 2026 07:28:00 GMT", "\x00", " 7"} {
				status := []int{200, 404, 429, 503, 500, 403, 401, 201, 504, 302, 400}[i]
				f.Add(uint8(op), status, after, []string{"req-1", "", "a b\r\nc", strings.Repeat("x", 200), "\xff\u202e"}[i%5], []byte(body))
			}
		}
	}
	f.Fuzz(func(t *testing.T, op uint8, status int, after, requestID string, body []byte) {
		if status < 100 || status > 999 {
			t.Skip("no status that net/http lets through")
		}
		operations := []operation{opCreateClientToken, opGetCustomer, opListBeneficialOwners, opToken}
		a := &fuzzedAnswer{
			to: operations[int(op)%len(operations)], status: status, body: body,
			header: http.Header{"Content-Type": {"application/json"}, "Retry-After": {after}, "X-Request-Id": {requestID}},
		}
		c := a.client(t)
		defer c.Close()
		if err := a.call(t, c); err != nil {
			a.checkFailure(t, err)
		} else if status/100 != 2 {
			t.Errorf("%d %q is a success of %s", status, body, a.to)
		}
		a.quotesNothing(t, "the log", a.log.String())
	})
}

// call makes the call and checks a success.
func (a *fuzzedAnswer) call(t *testing.T, c *Client) error {
	t.Helper()
	customer, err := clienttoken.ParseCustomerID(c.api, goodCustomer)
	if err != nil {
		t.Fatal(err)
	}
	if a.to == opGetCustomer {
		got, err := c.GetCustomer(t.Context(), customer)
		a.checkCustomer(t, got, err)
		return err
	}
	if a.to == opListBeneficialOwners {
		got, err := c.ListBeneficialOwners(t.Context(), customer)
		for _, owner := range got {
			id := strings.TrimPrefix(owner.String(), c.api.Root()+"/beneficial-owners/")
			if err != nil || !a.holds(id) || !regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`).MatchString(id) {
				t.Errorf("%q has the owner %q (%v)", a.body, owner, err)
			}
		}
		return err
	}
	got, err := c.CreateClientToken(t.Context(), clienttoken.Grant{Action: clienttoken.ActionCustomerCreate})
	gave := got.Reveal()
	if a.to == opToken {
		gave = a.presented
	}
	if err == nil && !a.holds(gave) {
		t.Errorf("%q gave the token %q", a.body, gave)
	}
	return err
}

// checkCustomer checks a Customer read without an error.
func (a *fuzzedAnswer) checkCustomer(t *testing.T, got clienttoken.Customer, err error) {
	t.Helper()
	known := a.holds(goodCustomer) && a.holds(got.CorrelationID) && a.holds(string(got.Status))
	if err == nil && (got.URL.ID() != goodCustomer || !known) {
		t.Errorf("%q is %+v", a.body, got)
	}
}

// holds reports whether text is nothing, or one of the strings of the body, in
// any case.
func (a *fuzzedAnswer) holds(text string) bool {
	decoder := json.NewDecoder(bytes.NewReader(a.body))
	for text != "" {
		token, err := decoder.Token()
		if err != nil {
			return false
		}
		if s, ok := token.(string); ok && strings.EqualFold(s, text) {
			return true
		}
	}
	return true
}

func (a *fuzzedAnswer) checkFailure(t *testing.T, err error) {
	t.Helper()
	a.quotesNothing(t, "the error", err.Error())
	if errors.Is(err, clienttoken.ErrUnknownCustomer) {
		if a.to != opGetCustomer || a.status != http.StatusNotFound && a.status != http.StatusForbidden {
			t.Errorf("%d to %s is an unknown Customer", a.status, a.to)
		}
		return
	}
	failure, ok := errors.AsType[*clienttoken.Failure](err)
	if !ok || errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("%d to %s is %v (a %T)", a.status, a.to, err, err)
	}
	wait := failure.RetryAfter
	if (wait > 0) != (failure.Code == clienttoken.Unavailable) || wait > 2*throttledFor {
		t.Errorf("%d with Retry-After %q: %s after %v", a.status, a.header.Get("Retry-After"), failure.Code, wait)
	}
	a.checkWait(t, wait)
	if id := failure.DwollaRequestID; len(id) > 128 || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' }) {
		t.Errorf("the request id is %q", id)
	}
}

// checkWait checks that callers get Dwolla's Retry-After.
func (a *fuzzedAnswer) checkWait(t *testing.T, wait time.Duration) {
	t.Helper()
	if asked, err := strconv.ParseInt(a.header.Get("Retry-After"), 10, 64); err == nil && asked >= 5 && wait > 0 {
		if want := time.Duration(min(asked, 600)) * time.Second; wait > want || wait < want-time.Second {
			t.Errorf("%d with Retry-After %d: after %v", a.status, asked, wait)
		}
	}
}

// quotesNothing fails t if a text is long or unprintable, or quotes more of the
// body than a code.
func (a *fuzzedAnswer) quotesNothing(t *testing.T, what, text string) {
	t.Helper()
	if len(text) > 2000 || strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
		t.Errorf("%s is %q", what, text)
	}
	pieces := regexp.MustCompile(`[\pL\pN_.-]{16,}`).FindAllString(string(a.body), -1)
	for _, piece := range slices.Compact(pieces) {
		if strings.ContainsFunc(piece, notOfACode) && piece != goodCustomer && strings.Contains(text, piece) {
			t.Errorf("%s quotes %q of the answer: %s", what, piece, text)
		}
	}
}
