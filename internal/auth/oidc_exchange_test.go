package auth_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"dropgate/internal/auth"
)

func noOtherOrigins(c *auth.OIDCConfig) { c.AllowedOrigins = nil }

// secretAnswer is a truncated answer of the token endpoint with secrets.
const secretAnswer = `{"access_token":"` + accessToken + `","error_description":"` + accessToken + `"`

func TestTokenEndpointOutageIsUnavailable(t *testing.T) {
	for name, answer := range map[string]http.RoundTripper{
		"500":                    page(withStatusAnd(500, secretAnswer)),
		"500 with invalid_grant": page(withStatusAnd(500, `{"error":"invalid_grant"}`)),
		"502":                    page(withStatusAnd(502, "<html>")),
		"503":                    page(withStatusAnd(503, secretAnswer+`}`)),
		"429":                    page(withStatusAnd(429, secretAnswer)),
		"connection refused":     roundTripFunc(func(*http.Request) (*http.Response, error) { return nil, syscall.ECONNREFUSED }),
		"cut before the answer":  roundTripFunc(func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }),
		"too slow":               page(after(10*time.Second+time.Millisecond, text("{}"))),
		"silent":                 page(after(time.Hour, text("{}"))),
		"a body that breaks": bodyFunc(func(*http.Request) io.Reader {
			return io.MultiReader(strings.NewReader(secretAnswer), iotest.ErrReader(io.ErrUnexpectedEOF))
		}),
		"a body that stalls": bodyFunc(func(r *http.Request) io.Reader {
			return io.MultiReader(strings.NewReader(secretAnswer), stalledReader{r})
		}),
		"a body that is 1 s slower": bodyFunc(func(r *http.Request) io.Reader { <-time.After(9 * time.Second); return stalledReader{r} }),
	} {
		t.Run(name, func(t *testing.T) {
			withOIDC(t, func(t *testing.T, w *oidcHarness) {
				provider := &switchableProvider{good: w.idp, bad: answer}
				w.oidc = w.replica(newRegistry(), func(c *auth.OIDCConfig) { c.Transport = provider })
				b := w.browser(t)
				query := w.op.authorize(b.begin("/page"))
				provider.down = true
				login, err := b.callback(query)
				checkFailure(t, err)
				if waited := time.Since(midnight); waited > 10*time.Second {
					t.Errorf("waited %v", waited)
				}
				if login.Cookies != nil || login.ReturnTo != "/page" || len(b.logins()) != 1 {
					t.Errorf("%+v", login)
				}
				provider.down = false
				if login, err = b.callback(query); err != nil || login.User != "alice" {
					t.Errorf("the same callback later: %q (%v)", login.User, err)
				}
			})
		})
	}
}

// switchableProvider uses bad for the token endpoint while it is down.
type switchableProvider struct {
	good, bad http.RoundTripper
	down      bool
}

func (s *switchableProvider) RoundTrip(r *http.Request) (*http.Response, error) {
	if s.down && r.URL.Path == tokenAt {
		return s.bad.RoundTrip(r)
	}
	return s.good.RoundTrip(r)
}

func TestTokenEndpointRefusalIsNotOutage(t *testing.T) {
	typed := func(media string, page http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Content-Type", media); page(w, r) }
	}
	type no struct {
		answer http.HandlerFunc
		code   string
	}
	eachOIDC(t, map[string]no{
		"401 invalid_client":      {withStatusAnd(401, `{"error":"invalid_client"}`), "exchange_refused"},
		"400 without words":       {withStatusAnd(400, secretAnswer), "exchange_refused"},
		"400 invalid_grant":       {withStatusAnd(400, secretAnswer+`,"error":"invalid_grant"}`), "code_refused"},
		"400 unauthorized_client": {withStatusAnd(400, secretAnswer+`,"error":"unauthorized_client"}`), "exchange_refused"},
		"403":                     {withStatusAnd(403, "<html>"+accessToken), "exchange_refused"},
		"404":                     {withStatusAnd(404, accessToken), "exchange_refused"},
		"200 with an error":       {withStatusAnd(200, secretAnswer+`,"error":"invalid_grant"}`), "code_refused"},
		"307": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://elsewhere.example.com/token", http.StatusTemporaryRedirect)
		}, "exchange_refused"},
		"308 to the same host": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/token2", http.StatusPermanentRedirect)
		}, "exchange_refused"},
		"302":                       {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/token2", http.StatusFound) }, "exchange_refused"},
		"200 with nothing":          {text(""), "exchange_failed"},
		"200 with HTML":             {text("<html>" + accessToken), "exchange_failed"},
		"200 with half an answer":   {text(secretAnswer), "exchange_failed"},
		"200 with a list":           {text(`["` + accessToken + `"]`), "exchange_failed"},
		"200 without access_token":  {text(`{"id_token":"` + accessToken + `"}`), "exchange_failed"},
		"200 as a form":             {typed("text/plain", text("access_token="+accessToken)), "id_token_missing"},
		"200 without id_token":      {answerTokens(absent{}), "id_token_missing"},
		"200 with id_token null":    {answerTokens(nil), "id_token_missing"},
		"200 with id_token a list":  {answerTokens([]string{accessToken}), "id_token_missing"},
		"200 with id_token empty":   {answerTokens(""), "id_token_missing"},
		"200 with id_token garbage": {answerTokens(accessToken), "id_token_invalid"},
		"200 with 2 MiB":            {text(`{"access_token":"` + strings.Repeat("a", 2<<20) + `"}`), "exchange_failed"},
	}, func(t *testing.T, w *oidcHarness, c no) {
		b := w.browser(t)
		query := w.op.authorize(b.begin("/page"))
		w.idp.serve(tokenAt, c.answer)
		login, err := b.callback(query)
		checkProtocol(t, err, c.code)
		if len(b.logins()) != 0 || login.ReturnTo != "/page" {
			t.Errorf("cookies %q, return to %q", b.logins(), login.ReturnTo)
		}
		hosts := w.idp.asked() // discovery, token and perhaps keys
		if len(hosts) > 3 || !slices.Equal(slices.Compact(hosts), []string{"id.example.com"}) {
			t.Errorf("asked %q", hosts)
		}
	})
}

func TestCallbackWaitsForSlowTokenEndpoint(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		w.idp.serve(tokenAt, after(10*time.Second-time.Millisecond, w.op.token))
		w.browser(t).signIn()
	})
}

// The browser's previous session survives too.
func TestSignInSurvivesStoreOutage(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		w.op.acceptsCodesTwice()
		b := w.browser(t)
		b.signIn()
		before := b.copied()
		query := w.op.authorize(b.begin("/page"))
		w.store.failOn("start")
		login, err := b.callback(query)
		checkFailure(t, err)
		if login.Cookies != nil || len(b.logins()) != 1 {
			t.Errorf("cookies %v", login.Cookies)
		}
		before.checkUser(aliceCookie)
		w.store.failOn()
		if login, err = b.callback(query); err != nil || login.URL != origin+"/page" {
			t.Errorf("later: %s (%v)", login.URL, err)
		}
		b.checkUser(aliceCookie)
		before.checkUser(refused)
	})
}

// A repeated callback must not end the new session or the replaced one.
func TestUsedSignInEndsNoSession(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		w.op.acceptsCodesTwice()
		b := w.browser(t)
		query := w.op.authorize(b.begin(""))
		again := b.copied()
		if _, err := b.callback(query); err != nil {
			t.Fatal(err)
		}
		_, err := again.callback(query)
		checkProtocol(t, err, "state_used")
		b.checkUser(aliceCookie)
		if asked := w.store.asked(); strings.Contains(asked, "end") {
			t.Errorf("the store was asked to %s", asked)
		}
	})
}

func TestSignInSurvivesProviderOutageAtStart(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		query := w.op.authorize(b.begin(""))
		w.restart() // a fresh replica
		w.idp.serve(discovery, status(http.StatusServiceUnavailable))
		_, err := b.callback(query)
		checkFailure(t, err)
		w.serveMetadata(nil)
		advance(time.Second)
		if _, err := b.callback(query); err != nil {
			t.Error(err)
		}
	})
}

func TestSignInSurvivesMissingKeys(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		w.idp.serve(jwks, status(http.StatusServiceUnavailable))
		b := w.browser(t)
		query := w.op.authorize(b.begin(""))
		_, err := b.callback(query)
		checkFailure(t, err)
		if w.op.grants[query.Get("code")].used {
			t.Error("the code was used up")
		}
		w.idp.publish(published()...)
		if _, err := b.callback(query); err != nil {
			t.Error(err)
		}
	})
}

// A cancellation is not a failure.
func TestCancelledCallbackMayBeRepeated(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		query := w.op.authorize(b.begin(""))
		ctx, cancel := context.WithCancel(t.Context())
		w.idp.serve(tokenAt, func(http.ResponseWriter, *http.Request) { cancel() })
		_, err := b.complete(b.landed(query).WithContext(ctx))
		if !errors.Is(err, context.Canceled) || len(b.logins()) != 1 {
			t.Errorf("%v (a %T), cookies %q", err, err, b.logins())
		}
		w.idp.serve(tokenAt, w.op.token)
		if _, err := b.callback(query); err != nil {
			t.Error(err)
		}
		b.checkUser(aliceCookie)
	})
}

func TestTokenEndpointAnswerIsBounded(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		query := w.op.authorize(b.begin(""))
		flood := &flood{}
		provider := &switchableProvider{good: w.idp, down: true, bad: bodyFunc(func(*http.Request) io.Reader { return flood })}
		w.oidc = w.replica(newRegistry(), func(c *auth.OIDCConfig) { c.Transport = provider })
		_, err := b.callback(query)
		checkProtocol(t, err, "exchange_failed")
		if flood.read > 1<<20 {
			t.Errorf("%d bytes were read", flood.read)
		}
	})
}

// flood is 16 MiB of spaces.
type flood struct{ read int }

func (f *flood) Read(p []byte) (int, error) {
	if f.read += len(p); f.read > 16<<20 {
		return 0, io.EOF
	}
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}
