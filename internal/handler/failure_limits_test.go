package handler_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"dropgate/internal/auth"
	"dropgate/internal/clienttoken"
)

// A limited address is refused before its request is read. An address with valid
// ones is not limited.
func TestBadLogoutTokensAndWebhooksAreLimited(t *testing.T) {
	inbox := &received{}
	w := newWorld(t, withSignIn(), webhooks(inbox), behindProxies)
	from := func(addr string) with { return header("X-Forwarded-For", addr) }
	webhook := func(addr string) answer {
		return w.do(t, w.request(nobody, http.MethodPost, "/webhooks/dwolla", body("{}"), from(addr), signature("abc")))
	}
	for range 700 {
		if got := webhook("2001:db8::1"); got.status != http.StatusOK {
			t.Fatalf("a good webhook: %d", got.status)
		}
	}
	inbox.err = &clienttoken.Refusal{Code: clienttoken.Unauthenticated, Reason: "signature"}
	for n := range 602 {
		want := http.StatusUnauthorized
		if n >= 600 {
			want = http.StatusTooManyRequests
		}
		if got := webhook("2001:db8::1"); got.status != want {
			t.Fatalf("bad webhook %d: %d, want %d", n, got.status, want)
		}
	}
	received := len(inbox.bodies)
	got := w.do(t, w.notice("logout_token=x", from("2001:db8::2")))
	got.refused(t, http.StatusTooManyRequests, "TooManyRequests")
	if got.header.Get("Retry-After") == "" || len(inbox.bodies) != received {
		t.Errorf("Retry-After %q", got.header.Get("Retry-After"))
	}
	token := url.Values{"logout_token": {w.logoutToken(t, alice)}}.Encode()
	if got := w.do(t, w.notice(token, from("2001:db8:0:1::1"))); got.status != http.StatusOK {
		t.Errorf("the provider's, from another address: %d %s", got.status, got.body)
	}
}

// The provider would be asked about each code, with our secret.
func TestRefusedCodesAreLimitedByAddress(t *testing.T) {
	w := newWorld(t, withSignIn(), behindProxies)
	junk := func(addr string) answer { return w.do(t, w.junkCallback(t, addr)) }
	for n := range 22 {
		want := http.StatusBadRequest
		if n >= 20 {
			want = http.StatusTooManyRequests
		}
		if got := junk("192.0.2.1"); got.status != want {
			t.Errorf("junk code %d: %d, want %d", n, got.status, want)
		}
	}
	if got := junk("192.0.2.2"); got.status != http.StatusBadRequest {
		t.Errorf("from another address: %d", got.status)
	}
}

// junkCallback is a callback with a code not issued by the provider, in a sign-in
// begun from an address.
func (w *world) junkCallback(t *testing.T, addr string) *http.Request {
	t.Helper()
	began := w.do(t, w.request(nobody, http.MethodGet, "/auth/login", header("X-Forwarded-For", addr)))
	at, err := url.Parse(began.header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	cookie, _, _ := strings.Cut(began.header.Get("Set-Cookie"), ";")
	query := url.Values{"code": {"junk"}, "state": {at.Query().Get("state")}, "iss": {w.issuer}}
	callback := func(cookie string) *http.Request {
		return w.request(nobody, http.MethodGet, "/auth/callback?"+query.Encode(), asPerson,
			header("X-Forwarded-For", addr), header("Cookie", cookie))
	}
	if landed := w.do(t, callback(cookie)); landed.status == http.StatusOK {
		cookie, _, _ = strings.Cut(landed.header.Get("Set-Cookie"), ";")
	}
	return callback(cookie)
}

// held holds exchanges of codes until release is closed.
type held struct {
	http.RoundTripper

	asked   atomic.Int64
	release chan struct{}
}

// RoundTrip implements http.RoundTripper.
func (h *held) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPost {
		h.asked.Add(1)
		<-h.release
	}
	return h.RoundTripper.RoundTrip(r)
}

// Otherwise concurrent codes would all reach the provider before the limit
// applies.
func TestConcurrentRefusedCodesAreLimited(t *testing.T) {
	const all, most = 40, 20
	provider := &held{release: make(chan struct{})}
	w := newWorld(t, behindProxies, withSignIn(configured(func(c *auth.OIDCConfig) {
		provider.RoundTripper, c.Transport = c.Transport, provider
	})))
	var requests []*http.Request
	for range all {
		requests = append(requests, w.junkCallback(t, "192.0.2.1"))
	}
	statuses := make(chan int, all)
	var asking sync.WaitGroup
	for _, r := range requests {
		asking.Go(func() {
			status := 0
			if resp, err := w.client.Do(r); err == nil {
				status = resp.StatusCode
				_ = resp.Body.Close()
			}
			statuses <- status
		})
	}
	for n := range all - most { // refused requests need not wait
		if status := <-statuses; status != http.StatusTooManyRequests {
			t.Errorf("answer %d: %d while the provider is asked about the others, want 429", n, status)
		}
	}
	close(provider.release)
	asking.Wait()
	for range most {
		if status := <-statuses; status != http.StatusBadRequest {
			t.Errorf("a junk code: %d, want 400", status)
		}
	}
	if asked := provider.asked.Load(); asked != most {
		t.Errorf("the provider was asked about %d codes, want %d", asked, most)
	}
}
