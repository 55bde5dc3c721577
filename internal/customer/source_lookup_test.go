package customer_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
)

var _ customer.Source = (*customer.Lookup)(nil)

const (
	lookupAt    = "https://app.internal/users/{user}/dwolla-customer"
	lookupToken = "the-token-of-dropgate-in-the-application"
	lookupLimit = 16 << 10
)

// application answers lookups without a socket, so it works in a synctest bubble.
type application struct {
	mu     sync.Mutex
	answer http.RoundTripper
	asked  []*http.Request
}

// RoundTrip implements http.RoundTripper.
func (a *application) RoundTrip(r *http.Request) (*http.Response, error) {
	a.mu.Lock()
	a.asked = append(a.asked, r)
	answer := a.answer
	a.mu.Unlock()
	return answer.RoundTrip(r)
}

func (a *application) calls() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.asked)
}

func (a *application) answers(answer http.RoundTripper) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer = answer
}

// reply is an answer no real server gives.
type reply func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f reply) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answer returns an answer with a status and a body.
func answer(status int, body string) http.RoundTripper {
	return withBody(status, func(*http.Request) io.Reader { return strings.NewReader(body) })
}

func withBody(status int, body func(*http.Request) io.Reader) http.RoundTripper {
	return reply(func(r *http.Request) (*http.Response, error) {
		header := http.Header{"Location": {"https://evil.example/?" + lookupToken}}
		return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(body(r))}, nil
	})
}

// after delays an answer until the caller gives up.
func after(d time.Duration, answer http.RoundTripper) http.RoundTripper {
	return reply(func(r *http.Request) (*http.Response, error) {
		select {
		case <-time.After(d):
			return answer.RoundTrip(r)
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	})
}

// stalled is a body that never arrives.
type stalled struct{ r *http.Request }

func (s stalled) Read([]byte) (int, error) {
	<-s.r.Context().Done()
	return 0, s.r.Context().Err()
}

// endless is a body that panics if too much of it is read.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	if e.read += len(p); e.read > 4*lookupLimit {
		panic("read without end")
	}
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func newLookup(t testing.TB, app http.RoundTripper, edits ...func(*customer.LookupConfig)) *customer.Lookup {
	t.Helper()
	config := customer.LookupConfig{
		API: sandbox(t), URL: lookupAt, Token: clienttoken.NewSecret(lookupToken), Transport: app,
	}
	for _, edit := range edits {
		edit(&config)
	}
	lookup, err := customer.NewLookup(config)
	if err != nil {
		t.Fatal(err)
	}
	return lookup
}

// annsApplication answers Customer A for every user.
func annsApplication() *application {
	return &application{answer: answer(http.StatusOK, `{"customer":"`+customerA+`"}`)}
}

func TestLookupSendsOnlyTheUserID(t *testing.T) {
	asked := make(chan *http.Request, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r
		_, _ = io.WriteString(w, `{"customer":"`+customerA+`"}`)
	}))
	defer server.Close()
	lookup := newLookup(t, nil, func(c *customer.LookupConfig) { c.URL = server.URL + "/users/{user}/dwolla-customer?v=2" })
	wantVerdict(t, lookup, "auth0|ann", customerA)
	r := <-asked
	if r.Method != http.MethodGet || r.RequestURI != "/users/auth0%7Cann/dwolla-customer?v=2" || r.ContentLength != 0 {
		t.Errorf("%s %s with %d bytes", r.Method, r.RequestURI, r.ContentLength)
	}
	for name, want := range map[string]string{"Authorization": "Bearer " + lookupToken, "Accept": "application/json", "Cookie": "", "Referer": ""} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestLookupWithoutATokenSendsNone(t *testing.T) {
	app := annsApplication()
	lookup := newLookup(t, app, func(c *customer.LookupConfig) { c.Token = clienttoken.Secret{} })
	wantVerdict(t, lookup, "ann", customerA)
	if values, sent := app.asked[0].Header["Authorization"]; sent {
		t.Errorf("Authorization: %q", values)
	}
}

func TestLookupReturnsTheApplicationsCustomer(t *testing.T) {
	for _, body := range []string{
		`{"customer":"` + customerA + `"}`,
		`{"customer":"` + strings.ToUpper(customerA) + `"}`,
		`{"customer":"https://api-sandbox.dwolla.com/customers/` + customerA + `"}`,
		`{"customer":"http:\/\/API-SANDBOX.dwolla.com/customers/` + customerA + `/"}`,
		` {"id":7,"customer":"` + customerA + `","Customer":"` + customerB + `","nested":{"customer":"` + customerB + `"}} `,
		`{"customer":"` + customerA + `"}` + strings.Repeat(" ", lookupLimit-len(`{"customer":"`+customerA+`"}`)),
	} {
		lookup := newLookup(t, &application{answer: answer(http.StatusOK, body)})
		wantVerdict(t, lookup, "ann", customerA)
	}
}

// whatIsNoAnswer returns answers that are neither a Customer nor "none". The late ones
// never arrive.
func whatIsNoAnswer() map[string]http.RoundTripper {
	whole := `{"customer":"` + customerA + `"}`
	all := map[string]http.RoundTripper{
		"connection refused": reply(func(*http.Request) (*http.Response, error) { return nil, syscall.ECONNREFUSED }),
		"not HTTP": reply(func(r *http.Request) (*http.Response, error) {
			return nil, fmt.Errorf("malformed HTTP response %q of %s", r.Header, r.URL)
		}),
		"late":      after(5*time.Second+1, answer(http.StatusOK, whole)),
		"very late": after(time.Hour, answer(http.StatusNotFound, "")),
		"a body that is late": withBody(http.StatusOK, func(r *http.Request) io.Reader {
			return io.MultiReader(strings.NewReader(whole), stalled{r})
		}),
		"a body that breaks": withBody(http.StatusOK, func(*http.Request) io.Reader {
			return io.MultiReader(strings.NewReader(whole), iotest.ErrReader(io.ErrUnexpectedEOF))
		}),
		"a body without end": withBody(http.StatusOK, func(*http.Request) io.Reader { return &endless{} }),
	}
	for _, status := range []int{100, 201, 202, 203, 204, 206, 300, 301, 302, 303, 304, 307, 308, 400, 401, 402, 403, 405, 406, 408, 410, 418, 429, 451, 500, 502, 503, 504, 599} {
		all[fmt.Sprint("status ", status)] = answer(status, whole)
	}
	for _, body := range []string{
		"", " ", "null", "[]", "7", `"` + customerA + `"`, "<html>" + customerA, "[" + whole + "]", whole + whole, whole[:len(whole)-1],
		"{}", `{"customer":null}`, `{"customer":""}`, `{"customer":false}`, `{"customer":0}`, `{"customer":{}}`, `{"customer":["` + customerA + `"]}`,
		`{"Customer":"` + customerA + `"}`, `{"CUSTOMER":"` + customerA + `"}`, `{"data":` + whole + `}`,
		`{"customer":"` + customerA + `","customer":"` + customerA + `"}`,
		`{"customer":"` + customerA + `","customer":"` + customerB + `"}`,
		`{"customer":"` + customerA + ` "}`, `{"customer":"none"}`, `{"customer":"/"}`, `{"customer":"` + lookupToken + `"}`,
		`{"customer":"https://api.dwolla.com/customers/` + customerA + `"}`,
		`{"customer":"https://evil.example/customers/` + customerA + `"}`,
		`{"customer":"https://api-sandbox.dwolla.com/accounts/` + customerA + `"}`,
		whole + strings.Repeat(" ", lookupLimit+1-len(whole)),
		"{\"customer\":\"" + customerA + "\xff\"}", "\ufeff" + whole, strings.Repeat("[", 11_000),
	} {
		all["body "+body] = answer(http.StatusOK, body)
	}
	return all
}

func TestLookupFaultsAreNeverNoCustomer(t *testing.T) {
	for name, answer := range whatIsNoAnswer() {
		t.Run(fmt.Sprintf("%.50s", name), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app := &application{answer: answer}
				lookup, start := newLookup(t, app), time.Now()
				url, err := lookup.Customer(t.Context(), clienttoken.User{ID: "ann"})
				if got := verdict(t, url, err); got != outage {
					t.Fatalf("%s, want an outage", got)
				}
				want := map[bool]time.Duration{true: 5 * time.Second}[strings.HasSuffix(name, "late")]
				if took := time.Since(start); took != want {
					t.Errorf("it took %v, want %v", took, want)
				}
				wantSilent(t, err)
				wantCalls(t, app, 1) // redirects are not followed
				app.answers(annsApplication().answer)
				wantVerdict(t, lookup, "ann", customerA) // an outage is not remembered
			})
		})
	}
}

// wantSilent checks that err contains neither the user, the token nor the answer.
func wantSilent(t *testing.T, err error) {
	t.Helper()
	failure, _ := errors.AsType[*clienttoken.Failure](err)
	for _, text := range []string{err.Error(), failure.Remedy, fmt.Sprintf("%+v", err)} {
		for _, word := range []string{"ann", lookupToken, "evil", customerA, "html"} {
			if strings.Contains(strings.ReplaceAll(text, "cannot", ""), word) {
				t.Errorf("%q tells of %q", text, word)
			}
		}
	}
}

// net/http quotes a server that does not speak HTTP.
func TestLookupNeverQuotesTheServer(t *testing.T) {
	for _, text := range []string{
		"%s", "HTTP/1.1 %s\r\n\r\n", "HTTP/1.1 200 OK\r\n%s\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%s\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: %s\r\n\r\n",
		"HTTP/1.1 302 Found\r\nLocation: https://%s/\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n0\r\n%s\r\n\r\n",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			connection, _, err := w.(http.Hijacker).Hijack() //nolint:errcheck // a panic fails the test too
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = fmt.Fprintf(connection, text, r.Header.Get("Authorization")+r.RequestURI)
			_ = connection.Close()
		}))
		lookup := newLookup(t, nil, func(c *customer.LookupConfig) { c.URL = server.URL + "/{user}" })
		url, err := lookup.Customer(t.Context(), clienttoken.User{ID: "ann"})
		if got := verdict(t, url, err); got != outage {
			t.Fatalf("%q: %s, want an outage", text, got)
		}
		wantSilent(t, err)
		server.Close()
	}
}

func TestLookupFaultsNameARemedy(t *testing.T) {
	for status, word := range map[int]string{401: "CUSTOMER_LOOKUP_TOKEN", 403: "CUSTOMER_LOOKUP_TOKEN", 302: "redirect", 200: "CUSTOMER_LOOKUP_URL", 500: ""} {
		_, err := newLookup(t, &application{answer: answer(status, "")}).Customer(t.Context(), clienttoken.User{ID: "ann"})
		failure, ok := errors.AsType[*clienttoken.Failure](err)
		if !ok || !strings.Contains(failure.Remedy, word) || (word == "") != (failure.Remedy == "") {
			t.Errorf("status %d: %v, want a word on %q", status, err, word)
		}
	}
}

func TestLookupAnswersAreCachedForOneLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := annsApplication()
		lookup := customer.NewCachedSource(newLookup(t, app), life)
		wantVerdict(t, lookup, "ann", customerA)
		app.answers(saysNone())
		<-time.After(life - 1)
		wantVerdict(t, lookup, "ann", customerA)
		wantVerdict(t, lookup, "bob", none)
		wantCalls(t, app, 2)
		<-time.After(1)
		wantVerdict(t, lookup, "ann", none)
		app.answers(annsApplication().answer)
		wantVerdict(t, lookup, "ann", customerA) // "none" is asked each time
	})
}

func TestCanceledLookupIsNotAnOutage(t *testing.T) {
	for _, life := range []time.Duration{0, life} {
		synctest.Test(t, func(t *testing.T) {
			app := &application{answer: after(2*time.Second, annsApplication().answer)}
			lookup := customer.NewCachedSource(newLookup(t, app), life)
			ctx, cancel := contextEnding(t, time.Second)
			defer cancel()
			url, err := lookup.Customer(ctx, clienttoken.User{ID: "ann"})
			if got := verdict(t, url, err); got != left {
				t.Errorf("%s (%v)", got, err)
			}
			<-time.After(time.Second) // the lookup ends by itself
		})
	}
}
