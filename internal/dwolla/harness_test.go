package dwolla_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"dropgate/internal/clienttoken"
	"dropgate/internal/dwolla"
	"dropgate/internal/dwolla/dwollatest"
	"dropgate/internal/dwolla/emulator"
)

const (
	someCustomer = "707177c3-bf15-4e7e-b37c-55c3898d9bf4"
	someOwner    = "0d8a6f1c-54a0-4dc2-9a57-9b5f3c2d1e10"

	// patience is enough for every success, even on a slow machine.
	patience = 20 * time.Second
	// impatience is a short wait where no answer will come.
	impatience = 80 * time.Millisecond
)

// setup changes the client or its Dwolla.
type setup struct {
	timeout time.Duration    // of one attempt
	slots   int              // for attempts under way
	token   http.HandlerFunc // serves /token in the place of the emulator
	api     http.HandlerFunc // serves all the rest in the place of the emulator
}

// world is a client and the emulator it talks to, over real HTTP.
type world struct {
	*dwollatest.Server

	client   *dwolla.Client
	api      clienttoken.API
	log      *logged
	registry *prometheus.Registry
}

func start(t *testing.T) *world {
	t.Helper()
	return startWith(t, setup{})
}

func startWith(t testing.TB, s setup) *world {
	t.Helper()
	w := &world{
		Server:   dwollatest.New(t, emulator.Options{}),
		log:      &logged{},
		registry: prometheus.NewRegistry(),
	}
	w.Intercept(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			switch isToken := r.URL.Path == "/token"; {
			case isToken && s.token != nil:
				s.token(rw, r)
			case !isToken && s.api != nil:
				s.api(rw, r)
			default:
				next.ServeHTTP(rw, r)
			}
		})
	})
	w.api = api(t, w.URL)
	if s.timeout == 0 {
		s.timeout = patience
	}
	w.client = dwolla.New(dwolla.Config{
		API:           w.api,
		ClientID:      dwollatest.ClientID,
		ClientSecret:  clienttoken.NewSecret(dwollatest.ClientSecret),
		Timeout:       s.timeout,
		MaxConcurrent: s.slots,
		Logger:        zerolog.New(w.log),
		Registerer:    w.registry,
	})
	t.Cleanup(w.client.Close)
	t.Cleanup(func() { w.wantNoSecret(t, "the log", w.log.String()) })
	return w
}

func api(t testing.TB, root string) clienttoken.API {
	t.Helper()
	a, err := clienttoken.NewAPI(clienttoken.Sandbox, root)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// customer adds a Customer to the emulator.
func (w *world) customer(t *testing.T, c emulator.Customer) clienttoken.CustomerURL {
	t.Helper()
	return w.customerURL(t, w.Customer(c).ID)
}

func (w *world) customerURL(t *testing.T, id string) clienttoken.CustomerURL {
	t.Helper()
	u, err := clienttoken.ParseCustomerID(w.api, id)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func (w *world) ownerURL(t *testing.T, id string) clienttoken.BeneficialOwnerURL {
	t.Helper()
	u, err := clienttoken.ParseBeneficialOwnerID(w.api, id)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// vend asks for the plainest of client tokens.
func (w *world) vend(ctx context.Context) (clienttoken.Token, error) {
	return w.client.CreateClientToken(ctx, clienttoken.Grant{Action: clienttoken.ActionCustomerCreate})
}

func (w *world) mustVend(t *testing.T) clienttoken.Token {
	t.Helper()
	token, err := w.vend(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (w *world) wantCalls(t *testing.T, op emulator.Operation, want int) {
	t.Helper()
	if got := w.Calls(op); got != want {
		t.Errorf("%d calls of %s, want %d", got, op, want)
	}
}

// wantNoSecret fails the test if text holds a secret of the server, as it is or
// escaped for a URL.
func (w *world) wantNoSecret(t testing.TB, where, text string) {
	t.Helper()
	for _, secret := range w.Secrets() {
		if strings.Contains(text, secret) || strings.Contains(text, url.QueryEscape(secret)) {
			t.Errorf("%s holds the secret %q: %s", where, secret, text)
		}
	}
}

// wantFailure checks the code of a failure, and its text for secrets.
func (w *world) wantFailure(t *testing.T, err error, code clienttoken.Code) {
	t.Helper()
	if failure := failureOf(t, err); failure.Code != code {
		t.Errorf("got %s (%v), want %s", failure.Code, err, code)
	}
	w.wantNoSecret(t, "the error", err.Error())
}

// failureOf returns the *clienttoken.Failure in err.
func failureOf(t *testing.T, err error) *clienttoken.Failure {
	t.Helper()
	failure, ok := errors.AsType[*clienttoken.Failure](err)
	if !ok {
		t.Fatalf("%v wraps no *clienttoken.Failure", err)
	}
	return failure
}

// fault returns the *dwolla.Error in err.
func fault(t *testing.T, err error) *dwolla.Error {
	t.Helper()
	e, ok := errors.AsType[*dwolla.Error](err)
	if !ok {
		t.Fatalf("%v wraps no *dwolla.Error", err)
	}
	return e
}

// logged collects the output of a zerolog.Logger.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// lines are the log's lines, decoded.
func (l *logged) lines(t *testing.T) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(l.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("%v in the line %s", err, line)
		}
		all = append(all, fields)
	}
	return all
}

// together runs n calls of f at the same time and waits for them.
func together(n int, f func(i int)) {
	var ready, done sync.WaitGroup
	ready.Add(n)
	for i := range n {
		done.Go(func() {
			ready.Done()
			ready.Wait()
			f(i)
		})
	}
	done.Wait()
}

// answers serves the same answer to everybody.
func answers(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/vnd.dwolla.v1.hal+json")
		w.Header().Set("X-Request-Id", "req-1")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// hangs reports each request to arrived, and holds it until the client leaves.
func hangs(arrived chan<- struct{}) http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then does net/http notice
		arrived <- struct{}{}
		<-r.Context().Done()
	}
}
