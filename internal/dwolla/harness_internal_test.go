package dwolla

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"dropgate/internal/clienttoken"
)

// reply is the fake Dwolla's reaction to a request.
type reply struct {
	status     int // of the answer; zero: 200
	body       string
	retryAfter string
	latency    time.Duration
	err        error // instead of an answer
	cut        bool  // the body ends too early
	panics     bool
}

// fakeDwolla is a client in fake time and the Dwolla behind it.
type fakeDwolla struct {
	*Client

	registry *prometheus.Registry
	log      *lockedLog

	mu             sync.Mutex
	withFakeDwolla func(r *http.Request) reply // what is asked of the API
	begin          time.Time
	asked          []time.Duration // of the API, since begin
	serving        int             // at the moment
	most           int             // at once
	token          *tokenEndpoint
}

const goodCustomer = "707177c3-bf15-4e7e-b37c-55c3898d9bf4"

// withFakeDwolla runs f with a healthy Dwolla, a timeout of 5 s and 1000 slots.
func withFakeDwolla(t *testing.T, f func(t *testing.T, w *fakeDwolla)) {
	t.Helper()
	withFakeDwollaConfig(t, Config{Timeout: 5 * time.Second, MaxConcurrent: 1000}, f)
}

func withFakeDwollaConfig(t *testing.T, c Config, f func(t *testing.T, w *fakeDwolla)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &fakeDwolla{
			registry: prometheus.NewRegistry(), log: &lockedLog{}, begin: time.Now(),
			token: &tokenEndpoint{begin: time.Now(), status: http.StatusOK, expires: `,"expires_in":36000`},
		}
		w.always(reply{})
		var err error
		if c.API, err = clienttoken.NewAPI(clienttoken.Sandbox, ""); err != nil {
			t.Fatal(err)
		}
		c.ClientID, c.ClientSecret = "key", clienttoken.NewSecret("s3cret")
		c.Logger = zerolog.New(zerolog.SyncWriter(io.MultiWriter(w.log, t.Output()))).Level(zerolog.InfoLevel)
		c.Registerer = w.registry
		w.Client = newClient(c, w)
		f(t, w)
		synctest.Wait()
		if n := w.bulkhead.Taken(); n != 0 {
			t.Errorf("%d slots are still taken", n)
		}
		if n := w.bulkhead.Waiting(); n != 0 {
			t.Errorf("%d still wait for a slot", n)
		}
		w.Close()
	})
}

// always has every request of the API from now on end in r.
func (w *fakeDwolla) always(r reply) { w.by(func(*http.Request) reply { return r }) }

// inTurn has the requests from now on end in these replies, and in the last one
// for good.
func (w *fakeDwolla) inTurn(replies ...reply) {
	w.by(func(*http.Request) reply {
		r := replies[0]
		if len(replies) > 1 {
			replies = replies[1:]
		}
		return r
	})
}

// by makes f decide the replies. f runs once at a time.
func (w *fakeDwolla) by(f func(r *http.Request) reply) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.withFakeDwolla, w.asked = f, nil
}

// calls are the requests of the API since the script is the present one.
func (w *fakeDwolla) calls() []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.asked)
}

func (w *fakeDwolla) wantCalls(t *testing.T, want int) {
	t.Helper()
	if got := w.calls(); len(got) != want {
		t.Errorf("Dwolla was asked %d times, want %d: %v", len(got), want, got)
	}
}

func (w *fakeDwolla) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path == "/token" {
		return w.token.RoundTrip(r)
	}
	w.mu.Lock()
	does := w.withFakeDwolla(r)
	w.asked = append(w.asked, time.Since(w.begin))
	w.serving++
	w.most = max(w.most, w.serving)
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.serving--
		w.mu.Unlock()
	}()
	timer := time.NewTimer(does.latency)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if does.panics {
		panic("in the transport")
	}
	if does.err != nil {
		return nil, does.err
	}
	return does.response(r), nil
}

func (r reply) response(req *http.Request) *http.Response {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	if r.body == "" {
		r.body = `{"token":"t","id":"` + goodCustomer + `","_links":{"self":{"href":"https://api-sandbox.dwolla.com/customers/` + goodCustomer + `/beneficial-owners"}}}`
	}
	var body io.Reader = strings.NewReader(r.body)
	if r.cut {
		body = io.MultiReader(body, cutReader{})
	}
	header := http.Header{"Content-Type": {mediaType}, "X-Request-Id": {"req-1"}}
	if r.retryAfter != "" {
		header.Set("Retry-After", r.retryAfter)
	}
	return &http.Response{
		StatusCode: r.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: req,
		Header: header, Body: io.NopCloser(body),
	}
}

type cutReader struct{}

func (cutReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func (w *fakeDwolla) vend(ctx context.Context) error {
	_, err := w.CreateClientToken(ctx, clienttoken.Grant{Action: clienttoken.ActionCustomerCreate})
	return err
}

func (w *fakeDwolla) customer(t *testing.T) error {
	t.Helper()
	u, err := clienttoken.ParseCustomerID(w.api, goodCustomer)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.GetCustomer(t.Context(), u)
	return err
}

func (w *fakeDwolla) owners(t *testing.T) error {
	t.Helper()
	u, err := clienttoken.ParseCustomerID(w.api, goodCustomer)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.ListBeneficialOwners(t.Context(), u)
	return err
}

func (w *fakeDwolla) mustVend(t *testing.T) {
	t.Helper()
	if err := w.vend(t.Context()); err != nil {
		t.Error(err)
	}
}

// wantRejected checks that a call fails at once without a request.
func (w *fakeDwolla) wantRejected(t *testing.T, reason rejection, after time.Duration) {
	t.Helper()
	begin, before := time.Now(), len(w.calls())
	wantRejection(t, w.vend(t.Context()), reason, after)
	if took := time.Since(begin); took != 0 {
		t.Errorf("refused after %v", took)
	}
	if n := len(w.calls()) - before; n != 0 {
		t.Errorf("Dwolla was asked %d times", n)
	}
}

func wantRejection(t *testing.T, err error, reason rejection, after time.Duration) {
	t.Helper()
	failure, ok := errors.AsType[*clienttoken.Failure](err)
	if !ok {
		t.Errorf("got %v, want a Failure", err)
		return
	}
	rejected, ok := errors.AsType[*rejectedError](err)
	if !ok || rejected.reason != reason || failure.Code != clienttoken.Unavailable || failure.RetryAfter != after {
		t.Errorf("got %v (%s, retry after %v), want %s, retry after %v", err, failure.Code, failure.RetryAfter, reason, after)
	}
}

func wantFailureOf(t *testing.T, err error, code clienttoken.Code) {
	t.Helper()
	if failure, ok := errors.AsType[*clienttoken.Failure](err); !ok || failure.Code != code {
		t.Errorf("got %v, want %s", err, code)
	}
}

// samples are the series of a metric by the values of their labels.
func (w *fakeDwolla) samples(t *testing.T, name string) map[string]float64 {
	t.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			var labels []string
			for _, label := range m.GetLabel() {
				labels = append(labels, label.GetValue())
			}
			if family.GetName() == name {
				got[strings.Join(labels, " ")] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return got
}

// wantSamples compares the samples other than zero.
func (w *fakeDwolla) wantSamples(t *testing.T, name string, want map[string]float64) {
	t.Helper()
	got := w.samples(t, name)
	maps.DeleteFunc(got, func(_ string, v float64) bool { return v == 0 })
	if !maps.Equal(got, want) {
		t.Errorf("%s is %v, want %v", name, got, want)
	}
}

func (w *fakeDwolla) wantState(t *testing.T, op operation, want float64) {
	t.Helper()
	if got := w.samples(t, "dropgate_dwolla_circuit_state")[string(op)]; got != want {
		t.Errorf("the circuit of %s is in state %v, want %v", op, got, want)
	}
}

// takeLog returns the log lines since the last call.
func (w *fakeDwolla) takeLog() []string { return slices.Collect(strings.Lines(w.log.take())) }

// lockedLog is a log that timers write to, too.
type lockedLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// take returns the text since the last call.
func (l *lockedLog) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := l.text.String()
	l.text.Reset()
	return text
}

func (w *fakeDwolla) wantLog(t *testing.T, want ...string) {
	t.Helper()
	lines := w.takeLog()
	if len(lines) != len(want) {
		t.Errorf("%d lines logged, want %d: %v", len(lines), len(want), lines)
		return
	}
	for i, line := range lines {
		for part := range strings.FieldsSeq(want[i]) {
			if !strings.Contains(line, part) {
				t.Errorf("%s is not in the line %s", part, line)
			}
		}
	}
}

// atSameTime runs n callers together and returns their errors.
func atSameTime(n int, call func(i int) error) []error {
	errs := make([]error, n)
	var callers sync.WaitGroup
	for i := range n {
		callers.Go(func() { errs[i] = call(i) })
	}
	callers.Wait()
	return errs
}

func failures(errs []error) int {
	n := 0
	for _, err := range errs {
		if err != nil {
			n++
		}
	}
	return n
}
