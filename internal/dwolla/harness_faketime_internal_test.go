package dwolla

import (
	"errors"
	"fmt"
	"io"
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

// tokenEndpoint is Dwolla's /token, in fake time.
type tokenEndpoint struct {
	mu      sync.Mutex
	begin   time.Time
	asked   []time.Duration // since begin
	status  int             // of the answers from now on
	expires string          // the member expires_in of the answers from now on
	latency time.Duration   // of the answers from now on
	after   string          // the header Retry-After of the answers from now on
	serving int             // at the moment
	most    int             // at once
}

func (e *tokenEndpoint) set(status int, latency time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.status, e.latency = status, latency
}

func (e *tokenEndpoint) throttle(retryAfter string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.status, e.after = http.StatusTooManyRequests, retryAfter
}

func (e *tokenEndpoint) calls() []time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.asked)
}

// RoundTrip gives the tokens at-1, at-2 and so on.
func (e *tokenEndpoint) RoundTrip(r *http.Request) (*http.Response, error) {
	e.mu.Lock()
	e.asked = append(e.asked, time.Since(e.begin))
	body := fmt.Sprintf(`{"access_token":"at-%d","token_type":"Bearer"%s}`, len(e.asked), e.expires)
	status, latency, after := e.status, e.latency, e.after
	e.serving++
	e.most = max(e.most, e.serving)
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		e.serving--
		e.mu.Unlock()
	}()
	if status != http.StatusOK {
		body = `{"error":"down"}`
	}
	select {
	case <-time.After(latency):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	return &http.Response{
		StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"application/json"}, "Retry-After": {after}}, Body: io.NopCloser(strings.NewReader(body)),
	}, nil
}

// inFakeTime runs f in fake time. Access tokens last for 1000 seconds. Anything
// left running fails the test.
func inFakeTime(t *testing.T, f func(t *testing.T, s *accessTokens, e *tokenEndpoint)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e := &tokenEndpoint{begin: time.Now(), status: http.StatusOK, expires: `,"expires_in":1000`}
		var log strings.Builder // written to under the lock of s alone
		s := newTokensFrom(t, e, io.MultiWriter(&log, t.Output()))
		f(t, s, e)
		s.close()
		synctest.Wait()
		if text := log.String(); strings.Contains(text, "at-") || strings.Contains(text, "s3cret") {
			t.Errorf("a secret is in the log: %s", text)
		}
	})
}

// noLongerGood is Dwolla's refusal of an expired access token.
func noLongerGood() *Error {
	return &Error{Operation: opCreateClientToken, Status: http.StatusUnauthorized, Code: "ExpiredAccessToken"}
}

func newTokensFrom(t *testing.T, e *tokenEndpoint, log io.Writer) *accessTokens {
	t.Helper()
	api, err := clienttoken.NewAPI(clienttoken.Sandbox, "")
	if err != nil {
		t.Fatal(err)
	}
	c := Config{
		API: api, ClientID: "key", ClientSecret: clienttoken.NewSecret("s3cret"),
		Timeout: 5 * time.Second, Logger: zerolog.New(log),
	}
	s := newAccessTokens(c, e, newMetrics(prometheus.NewRegistry()))
	s.jitter = func(most time.Duration) time.Duration { return most } // times can be told then
	return s
}

// pass advances fake time and waits for everything due until then.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func wantToken(t *testing.T, s *accessTokens, want string) {
	t.Helper()
	begin := time.Now()
	token, err := s.get(t.Context())
	if err != nil || token.secret.Reveal() != want {
		t.Errorf("got %s, %v, want %s", token.secret.Reveal(), err, want)
	}
	if took := time.Since(begin); took != 0 {
		t.Errorf("waited %v for %s", took, want)
	}
}

func wantAsked(t *testing.T, e *tokenEndpoint, want ...time.Duration) {
	t.Helper()
	if got := e.calls(); !slices.Equal(got, want) {
		t.Errorf("/token was asked at %v, want %v", got, want)
	}
}

func seconds(all ...int) []time.Duration {
	d := make([]time.Duration, len(all))
	for i, s := range all {
		d[i] = time.Duration(s) * time.Second
	}
	return d
}

// wantFailures has n callers at the same time get the failure without waiting.
func wantFailures(t *testing.T, s *accessTokens, n int, code clienttoken.Code) {
	t.Helper()
	begin := time.Now()
	var callers sync.WaitGroup
	for range n {
		callers.Go(func() {
			_, err := s.get(t.Context())
			failure, ok := errors.AsType[*clienttoken.Failure](err)
			if !ok || failure.Code != code {
				t.Errorf("got %v, want %s", err, code)
			}
		})
	}
	callers.Wait()
	if took := time.Since(begin); took != 0 {
		t.Errorf("callers waited %v for the failure", took)
	}
}
