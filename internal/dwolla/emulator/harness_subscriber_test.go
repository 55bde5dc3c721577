package emulator_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dropgate/internal/clienttoken"
	reader "dropgate/internal/dwolla"
	"dropgate/internal/dwolla/emulator"
)

const hookSecret = "hook s3cret/+ü"

// received is a webhook as it came.
type received struct {
	header http.Header
	body   string
	host   string        // that it was sent to
	at     time.Duration // since the subscriber was opened
}

// subscriber is a subscriber.
type subscriber struct {
	begin time.Time

	mu      sync.Mutex
	got     []received
	answers []int // of the next ones; then 204
	now     int   // how many are being answered
	most    int   // and were at once, at most
	block   chan struct{}
}

func newSubscriber(answers ...int) *subscriber {
	return &subscriber{begin: time.Now(), answers: answers}
}

// take keeps a webhook and returns the status to answer with.
func (m *subscriber) take(ctx context.Context, r received) int {
	m.mu.Lock()
	r.at = time.Since(m.begin)
	m.got = append(m.got, r)
	m.now++
	m.most = max(m.most, m.now)
	status, block := http.StatusNoContent, m.block
	if len(m.answers) > 0 {
		status, m.answers = m.answers[0], m.answers[1:]
	}
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.now--
	}()
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
		}
	}
	return status
}

func (m *subscriber) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	status := m.take(r.Context(), received{header: r.Header.Clone(), body: string(body), host: r.Host})
	w.Header().Set("Location", "/elsewhere")
	w.WriteHeader(status)
}

// RoundTrip is the subscriber without a network, for fake time.
func (m *subscriber) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	status := m.take(r.Context(), received{header: r.Header.Clone(), body: string(body), host: r.Host})
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Request: r, Header: http.Header{"Location": {"/elsewhere"}}, Body: http.NoBody}, nil
}

func (m *subscriber) mail() []received {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.got)
}

// times are when the webhooks came.
func (m *subscriber) times() []time.Duration {
	var all []time.Duration
	for _, r := range m.mail() {
		all = append(all, r.at)
	}
	return all
}

// read verifies all mail as the server does.
func (m *subscriber) read(t *testing.T) []reader.Webhook {
	t.Helper()
	sandbox, err := clienttoken.NewAPI(clienttoken.Sandbox, "")
	if err != nil {
		t.Fatal(err)
	}
	var all []reader.Webhook
	for _, r := range m.mail() {
		signature := strings.Join(r.header.Values(reader.SignatureHeader), ", ")
		w, err := reader.ReadWebhook(sandbox, clienttoken.NewSecret(hookSecret), signature, []byte(r.body))
		if err != nil {
			t.Fatalf("%v: %s", err, r.body)
		}
		all = append(all, w)
	}
	return all
}

func (m *subscriber) topics(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, w := range m.read(t) {
		all = append(all, string(w.Topic))
	}
	return all
}

// subscribe opens a subscriber over real HTTP.
func (d *dwolla) subscribe(answers ...int) *subscriber {
	d.t.Helper()
	m := newSubscriber(answers...)
	server := httptest.NewServer(m)
	d.t.Cleanup(server.Close)
	d.t.Cleanup(d.Close) // before the subscriber
	d.mustSubscribe(server.URL + "/webhooks/dwolla")
	return m
}

func (d *dwolla) mustSubscribe(url string) {
	d.t.Helper()
	if err := d.Subscribe(url, hookSecret); err != nil {
		d.t.Fatal(err)
	}
}

func (d *dwolla) await() {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 20*time.Second)
	defer cancel()
	if err := d.AwaitWebhooks(ctx); err != nil {
		d.t.Fatal(err)
	}
}

func (d *dwolla) setStatus(id string, statuses ...string) {
	d.t.Helper()
	for _, status := range statuses {
		if err := d.SetCustomerStatus(id, status); err != nil {
			d.t.Fatal(err)
		}
	}
}

// fakeTime runs f in fake time with an emulator and its subscriber. Anything still
// running after Close fails the test.
func fakeTime(t *testing.T, f func(t *testing.T, d *dwolla, m *subscriber)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := newSubscriber()
		e := emulator.New(emulator.Options{WebhookTransport: m})
		d := &dwolla{Emulator: e, t: t}
		d.mustSubscribe("http://subscriber.test/")
		f(t, d, m)
		e.Close()
	})
}

// awaitInFakeTime has no limit: synctest detects a deadlock.
func (d *dwolla) awaitInFakeTime() {
	d.t.Helper()
	if err := d.AwaitWebhooks(d.t.Context()); err != nil {
		d.t.Fatal(err)
	}
}

// pass advances fake time and waits for everything due until then.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}
