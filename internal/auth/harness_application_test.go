package auth_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"dropgate/internal/auth"
)

const (
	whoIs       = "https://app.internal/whoami"
	appSession  = "sid=the-session-of-alice-in-the-application"
	whoIsLimit  = 16 << 10
	askingLimit = 5 * time.Second
)

// application is a fake application with its own sessions. It has no socket, so it
// works inside synctest.
type application struct {
	mu     sync.Mutex
	answer http.RoundTripper
	asked  []*http.Request
}

// newApplication knows only alice's session.
func newApplication() *application {
	a := &application{}
	a.signIn()
	return a
}

func (a *application) RoundTrip(r *http.Request) (*http.Response, error) {
	a.mu.Lock()
	a.asked = append(a.asked, r)
	answer := a.answer
	a.mu.Unlock()
	return answer.RoundTrip(r)
}

func (a *application) answers(answer http.RoundTripper) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer = answer
}

// signIn starts alice's session, and signOut ends it.
func (a *application) signIn() {
	a.answers(page(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Cookie") != appSession {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		document(object{"sub": "alice"})(w, r)
	}))
}

func (a *application) signOut() { a.answers(page(status(http.StatusUnauthorized))) }

func (a *application) calls() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.asked)
}

// page answers like a server, and like a broken connection after the caller's
// deadline.
type page http.HandlerFunc

// RoundTrip implements http.RoundTripper.
func (p page) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	p(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

// forwardMode asks a, and caches for 10 s.
func forwardMode(a *application, edits ...func(*auth.ForwardConfig)) *auth.Forward {
	config := auth.ForwardConfig{URL: whoIs, Cache: 10 * time.Second, UserClaim: "sub", Transport: a}
	for _, edit := range edits {
		edit(&config)
	}
	return auth.NewForward(config)
}

func inSession(cookie string) http.Header { return http.Header{"Cookie": {cookie}} }

func withStatusAnd(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		status(code)(w, r)
		text(body)(w, r)
	}
}

// roundTripFunc answers as a transport.
type roundTripFunc func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTripFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// bodyFunc answers 200 with an arbitrary body.
type bodyFunc func(*http.Request) io.Reader

// RoundTrip implements http.RoundTripper.
func (b bodyFunc) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(b(r))}, nil
}

// Bodies no server should send.

type stalledReader struct{ r *http.Request }

func (s stalledReader) Read([]byte) (int, error) {
	<-s.r.Context().Done()
	return 0, s.r.Context().Err()
}
