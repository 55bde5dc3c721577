package auth_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/auth"
	"dropgate/internal/clienttoken"
)

// outages are answers without a user. Those with "take long" in the name use up
// the timeout.
func outages() map[string]http.RoundTripper {
	pages := map[string]http.HandlerFunc{
		"200 with sub twice":         text(`{"sub":"alice","sub":"bob"}`),
		"200 without sub":            text(`{"user":"alice"}`),
		"200 with sub in upper case": text(`{"SUB":"alice"}`),
		"200 with sub inside":        text(`{"user":{"sub":"alice"}}`),
		"200 with a fraction":        text(`{"sub":7.5}`),
		"200 with true":              text(`{"sub":true}`),
		"200 with a list of users":   text(`{"sub":["alice","bob"]}`),
		"200 with an empty sub":      text(`{"sub":""}`),
		"200 with 256 characters":    text(`{"sub":"` + strings.Repeat("é", 256) + `"}`),
		"200 with a line break":      text(`{"sub":"alice\n"}`),
		"200 with half a character":  text(`{"sub":"alice\ud800"}`),
		"200 with no UTF-8":          text("{\"sub\":\"alice\xff\"}"),
		"200 with nothing":           text(""),
		"200 with HTML":              text("<html>alice</html>"),
		"200 with text":              text(`"alice"`),
		"200 with a list":            text(`[{"sub":"alice"}]`),
		"200 with two objects":       text(`{"sub":"alice"}{"sub":"alice"}`),
		"200 with half an object":    text(`{"sub":"alice"`),
		"200 with a byte too many":   text(`{"sub":"alice"}` + strings.Repeat(" ", whoIsLimit+1-len(`{"sub":"alice"}`))),
		"a redirect":                 func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) },
		"an answer too late":         after(askingLimit+time.Millisecond, text(`{"sub":"alice"}`)),
		"no answer, which is late":   after(time.Hour, text(`{"sub":"alice"}`)),
	}
	for _, code := range []int{201, 202, 203, 204, 206, 300, 301, 303, 304, 307, 308, 400, 402, 404, 405, 407, 408, 410, 418, 429, 451, 500, 502, 503, 504, 599} {
		pages[fmt.Sprint(code, " with a user")] = withStatusAnd(code, `{"sub":"alice"}`)
	}
	all := map[string]http.RoundTripper{
		"connection refused": roundTripFunc(func(*http.Request) (*http.Response, error) { return nil, syscall.ECONNREFUSED }),
		"a body that breaks": bodyFunc(func(*http.Request) io.Reader {
			return io.MultiReader(strings.NewReader(`{"sub":"alice"}`), iotest.ErrReader(io.ErrUnexpectedEOF))
		}),
		"a body that stalls, which is late": bodyFunc(func(r *http.Request) io.Reader {
			return io.MultiReader(strings.NewReader(`{"sub":"alice"}`), stalledReader{r})
		}),
		"a body without end": bodyFunc(func(*http.Request) io.Reader { return &endlessReader{} }),
	}
	for name, handler := range pages {
		all[name] = page(handler)
	}
	return all
}

// endlessReader panics if far too much is read.
type endlessReader struct{ read int }

func (e *endlessReader) Read(p []byte) (int, error) {
	if e.read += len(p); e.read > 4*whoIsLimit {
		panic("read without end")
	}
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestUnclearApplicationAnswerIsOutage(t *testing.T) {
	for name, answer := range outages() {
		runSynctest(t, name, func(t *testing.T) {
			app, second := newApplication(), &fakeMode{name: "second", user: "alice"}
			chain := auth.NewChain(prometheus.NewRegistry(), forwardMode(app), second)
			app.answers(answer)
			for range 2 {
				session, err := chain.Authenticate(request(t.Context(), inSession(appSession)), nil)
				checkOutage(t, session, err)
			}
			if app.calls() != 2 || second.asked != 0 {
				t.Errorf("%d calls, passed on %d times", app.calls(), second.asked)
			}
			want := map[bool]time.Duration{true: 2 * askingLimit}[strings.HasSuffix(name, "late")]
			if took := time.Since(midnight); took != want {
				t.Errorf("it took %v, want %v", took, want)
			}
			app.signIn() // outages are not cached
			if got := verdict(chain.Authenticate(request(t.Context(), inSession(appSession)), nil)); got != aliceCookie {
				t.Errorf("%s after the outage", got)
			}
		})
	}
}

// checkOutage checks for an outage with a retry time and without a credential.
func checkOutage(t *testing.T, session auth.Session, err error) {
	t.Helper()
	if got := verdict(session, err); got != unavailable {
		t.Fatalf("%s (%v), want %s", got, err, unavailable)
	}
	failure, ok := err.(*clienttoken.Failure) //nolint:errorlint // the type itself is the promise
	if !ok || failure.RetryAfter <= 0 || failure.Err == nil {
		t.Errorf("%#v, want a failure that says when to try again, and why", err)
	}
	checkNoSecret(t, err, appSession)
}

func TestForwardAcceptsAnswersAtItsLimits(t *testing.T) {
	whole := `{"sub":"alice"}`
	for name, handler := range map[string]http.HandlerFunc{
		"16 KiB":      text(whole + strings.Repeat(" ", whoIsLimit-len(whole))),
		"after 4.99s": after(askingLimit-10*time.Millisecond, text(whole)),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app := newApplication()
				app.answers(page(handler))
				if got := verdict(forwardMode(app).Authenticate(request(t.Context(), inSession(appSession)), nil)); got != aliceCookie {
					t.Error(got)
				}
			})
		})
	}
}

func TestForwardFollowsNoRedirects(t *testing.T) {
	for _, code := range []int{301, 302, 303, 307, 308} {
		for _, to := range []string{"https://evil.example.com/", "/login", "//evil.example.com", whoIs, "http://app.internal/whoami", "\\\\", "http://[", "%zz"} {
			t.Run(fmt.Sprint(code, " ", to), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					app := newApplication()
					app.answers(page(func(w http.ResponseWriter, _ *http.Request) {
						w.Header().Set("Location", to)
						w.WriteHeader(code)
					}))
					session, err := forwardMode(app).Authenticate(request(t.Context(), inSession(appSession)), nil)
					checkOutage(t, session, err)
					if app.calls() != 1 {
						t.Errorf("%d calls, the last to %s", app.calls(), app.asked[app.calls()-1].URL)
					}
				})
			})
		}
	}
}

// An application may echo its input.
func TestForwardErrorsHoldNoEchoedCredentials(t *testing.T) {
	const token = "the-bearer-token-of-alice-in-the-application"
	secrets := http.Header{"Cookie": {appSession}, "Authorization": {"Token " + token}}
	for name, answer := range map[string]func(http.ResponseWriter){
		"401":                   func(w http.ResponseWriter) { w.WriteHeader(http.StatusUnauthorized) },
		"403":                   func(w http.ResponseWriter) { w.WriteHeader(http.StatusForbidden) },
		"500":                   func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) },
		"a redirect":            func(w http.ResponseWriter) { w.WriteHeader(http.StatusFound) },
		"200, and no JSON":      func(http.ResponseWriter) {},
		"200, and a bad user":   func(w http.ResponseWriter) { text(`{"sub":"\u0000`+token+`"}`)(w, nil) },
		"200, and another type": func(w http.ResponseWriter) { text(`["`+token+`"]`)(w, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app := newApplication()
				app.answers(page(func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Location", "http://[app/login;"+appSession+";"+token)
					w.Header().Set("Www-Authenticate", token)
					w.Header().Set("Set-Cookie", appSession)
					answer(w)
					text(appSession+token)(w, nil)
				}))
				_, err := forwardMode(app).Authenticate(request(t.Context(), secrets), nil)
				if err == nil {
					t.Fatal("accepted")
				}
				checkNoSecret(t, err, appSession, token)
			})
		})
	}
}

// The default transport refuses such a header before it connects.
func TestUnsendableCredentialIsOutageWithoutQuote(t *testing.T) {
	forward := forwardMode(nil, func(f *auth.ForwardConfig) { f.Transport = nil })
	session, err := forward.Authenticate(request(t.Context(), inSession(appSession+"\n")), nil)
	checkOutage(t, session, err)
}
