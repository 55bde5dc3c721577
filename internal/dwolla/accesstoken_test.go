package dwolla_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dropgate/internal/clienttoken"
	"dropgate/internal/dwolla/emulator"
)

// TestAHundredFirstCallsCostOneAccessToken over real connections. A thousand, as
// promised, are in fake time: so many dials at once are a test of the machine.
func TestAHundredFirstCallsCostOneAccessToken(t *testing.T) {
	const callers = 100
	w := startWith(t, setup{slots: callers})
	var failed atomic.Int32
	together(callers, func(int) {
		if _, err := w.vend(t.Context()); err != nil {
			failed.Add(1)
			t.Log(err)
		}
	})
	if n := failed.Load(); n != 0 {
		t.Errorf("%d calls failed", n)
	}
	w.wantCalls(t, emulator.OpToken, 1)
	w.wantCalls(t, emulator.OpCreateClientToken, callers)
}

func TestNewDoesNotConnect(t *testing.T) {
	w := start(t)
	w.client.Close()
	w.wantCalls(t, emulator.OpToken, 0)
}

func TestCredentialsGoIntoOneHeader(t *testing.T) {
	var got []request
	w := startWith(t, setup{token: func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, request{r.Method, r.URL.RequestURI(), string(body), r.Header.Clone()})
		rw.WriteHeader(http.StatusUnauthorized) // after which x/oauth2 would try another way, left alone
	}})
	_, err := w.vend(t.Context())
	w.wantFailure(t, err, clienttoken.UpstreamError)
	if len(got) != 1 {
		t.Fatalf("%d requests", len(got))
	}
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("the+key:the+secret%3A+%2B%25%2F%C3%BC+of+the+application"))
	if r := got[0]; r.method != http.MethodPost || r.path != "/token" || r.body != "grant_type=client_credentials" ||
		r.header.Get("Authorization") != basic || r.header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		t.Errorf("got %+v", r)
	}
}

func TestRejectedAccessTokenIsReplacedAndRetried(t *testing.T) {
	tests := map[string]func(*world){
		"ExpiredAccessToken": func(w *world) { w.ExpireAccessTokens() },
		"InvalidAccessToken": func(w *world) { w.RevokeAccessTokens() },
	}
	for name, end := range tests {
		t.Run(name, func(t *testing.T) {
			w := start(t)
			customer := w.customer(t, emulator.Customer{})
			w.mustVend(t)
			end(w)
			w.mustVend(t)
			w.wantCalls(t, emulator.OpToken, 2)
			w.wantCalls(t, emulator.OpCreateClientToken, 3)
			end(w)
			if _, err := w.client.GetCustomer(t.Context(), customer); err != nil {
				t.Error(err)
			}
			if log := w.log.String(); log != "" {
				t.Errorf("logged %s", log)
			}
			end(w)
			if _, err := w.client.ListBeneficialOwners(t.Context(), customer); err != nil {
				t.Error(err)
			}
			w.wantCalls(t, emulator.OpToken, 4)
			w.wantCalls(t, emulator.OpReadCustomer, 2)
			w.wantCalls(t, emulator.OpListBeneficialOwners, 2)
			if log := w.log.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, `"dwolla_code":"`+name) {
				t.Errorf("logged %s, want one line after the third time", log)
			}
		})
	}
}

// TestCallersShareTheNewAccessToken also covers a service that was idle before.
func TestCallersShareTheNewAccessToken(t *testing.T) {
	const callers = 200
	var asked atomic.Int32
	var arrived sync.WaitGroup // with the first access token, before it is rejected
	arrived.Add(callers)
	w := startWith(t, setup{slots: callers, token: func(rw http.ResponseWriter, r *http.Request) {
		answers(http.StatusOK, fmt.Sprintf(`{"access_token":"at-%d","expires_in":3599}`, asked.Add(1)))(rw, r)
	}, api: func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer at-1" {
			answers(http.StatusOK, `{"token":"t"}`)(rw, r)
			return
		}
		arrived.Done()
		arrived.Wait()
		answers(http.StatusUnauthorized, `{"code":"ExpiredAccessToken"}`)(rw, r)
	}})
	together(callers, func(int) {
		if _, err := w.vend(t.Context()); err != nil {
			t.Error(err)
		}
	})
	if n := asked.Load(); n != 2 {
		t.Errorf("/token was asked %d times", n)
	}
}

// TestRefusedApplicationRetriesOnlyWithANewToken: two of Dwolla's
// 401 codes speak of the access token, the others of the application.
func TestRefusedApplicationRetriesOnlyWithANewToken(t *testing.T) {
	for code, attempts := range map[string]int{
		"InvalidAccessToken": 2, "ExpiredAccessToken": 2,
		"InvalidCredentials": 1, "InvalidAccountStatus": 1, "InvalidApplicationStatus": 1, "InvalidScopes": 1, "Unheard": 1,
	} {
		t.Run(code, func(t *testing.T) {
			w := start(t)
			w.InjectFault(emulator.OpCreateClientToken, emulator.Fault{Status: http.StatusUnauthorized, Code: code})
			_, err := w.vend(t.Context())
			wantFault(t, fault(t, err), "create_client_token", http.StatusUnauthorized, code)
			w.wantCalls(t, emulator.OpCreateClientToken, attempts)
			w.wantCalls(t, emulator.OpToken, attempts)
			if attempts == 2 { // Dwolla has taken the application's credentials twice
				w.wantFailure(t, err, clienttoken.Unavailable)
				return
			}
			w.wantFailure(t, err, clienttoken.UpstreamError)
			wantSettings(t, failureOf(t, err).Remedy)
		})
	}
}

// wantSettings checks that text names the settings to check.
func wantSettings(t *testing.T, text string) {
	t.Helper()
	for _, name := range []string{"DWOLLA_CLIENT_ID", "DWOLLA_CLIENT_SECRET", "DWOLLA_ENVIRONMENT"} {
		if !strings.Contains(text, name) {
			t.Errorf("%s is not in %q", name, text)
		}
	}
}

// wantConfigurationLine checks for a single error line with the settings to check
// and Dwolla's request id.
func (w *world) wantConfigurationLine(t *testing.T, code string) {
	t.Helper()
	lines := w.log.lines(t)
	if len(lines) != 1 {
		t.Fatalf("%d lines logged: %v", len(lines), lines)
	}
	line, message := lines[0], fmt.Sprint(lines[0]["message"])
	if line["level"] != "error" || line["dwolla_code"] != code || line["dwolla_request_id"] == "" {
		t.Errorf("logged %v", line)
	}
	wantSettings(t, message)
}

func TestOtherRefusalsKeepTheAccessToken(t *testing.T) {
	for status, attempts := range map[int]int{400: 1, 403: 1, 404: 1, 429: 1, 500: 2, 503: 2} {
		w := start(t)
		w.InjectFault(emulator.OpCreateClientToken, emulator.Fault{Status: status, Code: "InvalidAccessToken"})
		_, err := w.vend(t.Context())
		if failure := failureOf(t, err); failure.Remedy != "" {
			t.Errorf("status %d: %s", status, failure.Remedy)
		}
		w.wantCalls(t, emulator.OpCreateClientToken, attempts)
		w.wantCalls(t, emulator.OpToken, 1)
	}
}

func TestRefusedCredentialsAreLoggedClearly(t *testing.T) {
	w := start(t)
	w.InjectFault(emulator.OpToken, emulator.Fault{Status: http.StatusUnauthorized})
	_, err := w.vend(t.Context())
	w.wantFailure(t, err, clienttoken.UpstreamError)
	wantFault(t, fault(t, err), "token", http.StatusUnauthorized, "invalid_client")
	w.wantCalls(t, emulator.OpToken, 1)
	w.wantCalls(t, emulator.OpCreateClientToken, 0)
	w.wantConfigurationLine(t, "invalid_client")
}

func TestCancelingCallerDoesNotFailTheOthers(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	w := startWith(t, setup{token: func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		arrived <- struct{}{}
		select {
		case <-release:
			answers(http.StatusOK, `{"access_token":"at","token_type":"Bearer","expires_in":3599}`)(rw, r)
		case <-r.Context().Done():
			t.Error("the request for an access token was given up")
		}
	}, api: answers(http.StatusOK, `{"token":"t"}`)})

	ctx, cancel := context.WithCancel(t.Context())
	first, second := make(chan error), make(chan error)
	go func() { _, err := w.vend(ctx); first <- err }()
	<-arrived
	go func() { _, err := w.vend(t.Context()); second <- err }()
	short, cancelShort := context.WithTimeout(t.Context(), impatience)
	defer cancelShort()
	_, err := w.vend(short)
	w.wantFailure(t, err, clienttoken.UpstreamTimeout)

	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("the one that gave up got %v", err)
	} else if _, ok := errors.AsType[*clienttoken.Failure](err); ok {
		t.Errorf("giving up is no Failure: %v", err)
	}
	close(release)
	if err := <-second; err != nil {
		t.Errorf("the other one got %v", err)
	}
}

func TestFaultsOfTheTokenEndpointAreFailures(t *testing.T) {
	tests := map[string]struct {
		fault      emulator.Fault
		want       clienttoken.Code
		retryAfter time.Duration
	}{
		"400":             {emulator.Fault{Status: 400}, clienttoken.UpstreamError, 0},
		"403":             {emulator.Fault{Status: 403}, clienttoken.UpstreamError, 0},
		"429":             {emulator.Fault{Status: 429}, clienttoken.Unavailable, 5 * time.Minute},
		"500":             {emulator.Fault{Status: 500}, clienttoken.Unavailable, 5 * time.Second},
		"503 Retry-After": {emulator.Fault{Status: 503, Header: http.Header{"Retry-After": {"7"}}}, clienttoken.Unavailable, 7 * time.Second},
		"504":             {emulator.Fault{Status: 504}, clienttoken.UpstreamTimeout, 0},
		"cut before":      {emulator.Fault{CutBefore: true}, clienttoken.Unavailable, 5 * time.Second},
		"cut in the body": {emulator.Fault{CutMidBody: true}, clienttoken.Unavailable, 5 * time.Second},
		"too slow":        {emulator.Fault{Latency: time.Hour}, clienttoken.UpstreamTimeout, 0},
		"huge":            {emulator.Fault{HugeBody: 1 << 30}, clienttoken.UpstreamError, 0},
		"garbage":         {emulator.Fault{Body: "MARKER"}, clienttoken.UpstreamError, 0},
		"no token":        {emulator.Fault{Body: `{"token_type":"MARKER"}`}, clienttoken.UpstreamError, 0},
		"200 with error":  {emulator.Fault{Body: `{"error":"invalid_client","error_description":"MARKER"}`}, clienttoken.UpstreamError, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := startWith(t, setup{timeout: timeoutFor(test.fault)})
			w.InjectFault(emulator.OpToken, test.fault)
			_, err := w.vend(t.Context())
			w.wantFailure(t, err, test.want)
			failure := failureOf(t, err)
			if failure.RetryAfter != test.retryAfter {
				t.Errorf("retry after %v, want %v", failure.RetryAfter, test.retryAfter)
			}
			if e := fault(t, err); string(e.Operation) != "token" {
				t.Errorf("operation %s", e.Operation)
			}
			wantNothingOf(t, "MARKER", err)
			wantNothingOf(t, "an injected fault", err)
			w.wantCalls(t, emulator.OpCreateClientToken, 0)
			if lines := w.log.lines(t); len(lines) != 1 || lines[0]["level"] != "error" || strings.Contains(w.log.String(), "MARKER") {
				t.Errorf("logged %v", lines)
			}
		})
	}
}

func timeoutFor(f emulator.Fault) time.Duration {
	if f.Latency > 0 {
		return 500 * time.Millisecond // a slow machine has to tell it from a whole call's deadline, twice as long
	}
	return patience
}
