package handler_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"dropgate/internal/clienttoken"
	"dropgate/internal/dwolla/emulator"
)

func TestDwollaFaultsHaveTheirStatusWithoutDetails(t *testing.T) {
	const leak = "Dwolla's own words"
	for name, row := range map[string]struct {
		fault      emulator.Fault
		status     int
		code       string
		retryAfter string
		reason     string
	}{
		"throttled":           {emulator.Fault{Status: 429}, 503, "Unavailable", "300", "429 TooManyRequests"},
		"throttled, and when": {emulator.Fault{Status: 429, Header: http.Header{"Retry-After": {"17"}}}, 503, "Unavailable", "17", "429 TooManyRequests"},
		"500":                 {emulator.Fault{Status: 500}, 503, "Unavailable", "5", "500 ServerError"},
		"502 of HTML":         {emulator.Fault{Status: 502, Body: "<html>" + leak}, 503, "Unavailable", "5", "502"},
		"503":                 {emulator.Fault{Status: 503}, 503, "Unavailable", "5", "503"},
		"RequestTimeout":      {emulator.Fault{Status: 500, Code: "RequestTimeout"}, 504, "UpstreamTimeout", "", "RequestTimeout"},
		"400":                 {emulator.Fault{Status: 400, Body: `{"code":"ValidationError","message":"` + leak + `"}`}, 502, "UpstreamError", "", "400 ValidationError"},
		"403":                 {emulator.Fault{Status: 403, Body: `{"code":"Forbidden","message":"` + leak + `"}`}, 502, "UpstreamError", "", "403 Forbidden"},
		"404":                 {emulator.Fault{Status: 404}, 502, "UpstreamError", "", "404 NotFound"},
		"401 for good":        {emulator.Fault{Status: 401}, 503, "Unavailable", "5", "401 InvalidAccessToken"},
		"a 401 of the app":    {emulator.Fault{Status: 401, Code: "InvalidApplicationStatus"}, 502, "UpstreamError", "", "401 InvalidApplicationStatus"},
		"garbage":             {emulator.Fault{Body: "<html>" + leak}, 502, "UpstreamError", "", "not the expected JSON"},
		"no token":            {emulator.Fault{Body: `{"token":""}`}, 502, "UpstreamError", "", "without a token"},
		"a token that is not": {emulator.Fault{Body: `{"token":7}`}, 502, "UpstreamError", "", "not the expected JSON"},
		"an empty 200":        {emulator.Fault{Status: 200}, 502, "UpstreamError", "", "not the expected JSON"},
		"a huge body":         {emulator.Fault{HugeBody: 2 << 20}, 502, "UpstreamError", "", "larger than"},
		"a redirect":          {emulator.Fault{Redirect: "https://evil.example/"}, 502, "UpstreamError", "", "302"},
		"cut before":          {emulator.Fault{CutBefore: true}, 503, "Unavailable", "5", "create_client_token"},
		"cut in the body":     {emulator.Fault{CutMidBody: true}, 503, "Unavailable", "5", "reading the answer"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.dwolla.InjectFault(emulator.OpCreateClientToken, row.fault)
			a := w.vend(t, alice, `{"action":"customer.read"}`)
			a.failed(t, row.status, row.code)
			if got := a.header.Get("Retry-After"); got != row.retryAfter {
				t.Errorf("Retry-After is %q, want %q", got, row.retryAfter)
			}
			tellsNothing(t, a.body, leak)
			if !strings.Contains(a.audit.text("reason"), row.reason) || strings.Contains(w.logs.text(), leak) {
				t.Errorf("the reason is %q, want a word of %q", a.audit["reason"], row.reason)
			}
			a.audit.has(t, line{"user": alice, "customer": alicesID, "action": "customer.read", "token_sha256_prefix": ""})
			if answered := !row.fault.CutBefore; (a.audit.text("dwolla_request_id") != "") != answered {
				t.Errorf("Dwolla's request id is %q", a.audit["dwolla_request_id"])
			}
			w.dwolla.ClearFaults()
			a = w.vend(t, alice, `{"action":"customer.read"}`)
			if row.fault.Status == http.StatusTooManyRequests { // still valid, even if Dwolla now fails
				a.failed(t, http.StatusServiceUnavailable, "Unavailable")
				return
			}
			a.vended(t, w.filled(sentRead))
		})
	}
}

// tellsNothing fails t if an answer has something of Dwolla in it.
func tellsNothing(t *testing.T, body, leak string) {
	t.Helper()
	if strings.Contains(body, leak) || strings.Contains(body, "127.0.0.1") || strings.Contains(body, "emulator") {
		t.Errorf("the response repeats Dwolla: %s", body)
	}
}

func TestMisconfigurationIsLoggedWithItsRequest(t *testing.T) {
	w := newWorld(t)
	w.dwolla.InjectFault(emulator.OpCreateClientToken, emulator.Fault{Status: 401, Code: "InvalidScopes"})
	mark := w.logs.mark()
	a := w.vend(t, alice, `{"action":"customer.read"}`)
	a.failed(t, http.StatusBadGateway, "UpstreamError")
	errs := slices.DeleteFunc(w.logs.since(mark, ""), func(l line) bool { return l.text("level") != "error" || l.text("log") == "access" })
	if len(errs) != 1 {
		t.Fatalf("%d error lines, want 1: %v", len(errs), errs)
	}
	errs[0].has(t, line{"request_id": a.problem.RequestID})
	if !strings.Contains(errs[0].text("message"), "DWOLLA_CLIENT_ID") || !strings.Contains(errs[0].text("reason"), "InvalidScopes") {
		t.Errorf("logged %v", errs[0])
	}
}

func TestExpiredAccessTokenIsReplaced(t *testing.T) {
	w := newWorld(t)
	a := w.vend(t, alice, `{"action":"customer.read"}`)
	a.vended(t, w.filled(sentRead))
	w.dwolla.ExpireAccessTokens()
	a = w.vend(t, alice, `{"action":"customer.read"}`)
	if a.status != http.StatusOK || len(a.sent) != 2 || a.calls != 3 {
		t.Errorf("answer %d after %d calls, %d for client tokens", a.status, a.calls, len(a.sent))
	}
}

func TestSlowDwollaIsATimeout(t *testing.T) {
	w := newWorld(t, dwollaTimeout(50*time.Millisecond))
	w.dwolla.InjectFault(emulator.OpCreateClientToken, emulator.Fault{Latency: time.Minute})
	a := w.vend(t, alice, `{"action":"customer.read"}`)
	a.failed(t, http.StatusGatewayTimeout, "UpstreamTimeout")
}

func TestMissingAccessTokenIsAnOutage(t *testing.T) {
	for status, want := range map[int]struct {
		status int
		code   string
	}{
		500: {503, "Unavailable"}, 429: {503, "Unavailable"}, 401: {502, "UpstreamError"},
	} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			w := newWorld(t)
			w.dwolla.InjectFault(emulator.OpToken, emulator.Fault{Status: status})
			a := w.vend(t, alice, `{"action":"customer.read"}`)
			a.failed(t, want.status, want.code)
			if len(a.sent) != 0 {
				t.Errorf("Dwolla was asked for %q", a.sent)
			}
		})
	}
}

func TestFailedOwnerListVendsNothing(t *testing.T) {
	for status, want := range map[int]int{500: 503, 429: 503, 404: 502, 403: 502} {
		w := newWorld(t) // a 429 is remembered
		w.dwolla.InjectFault(emulator.OpListBeneficialOwners, emulator.Fault{Status: status})
		a := w.vend(t, alice, w.filled(`{"action":"beneficialowners.update","links":{"beneficial-owner":{"href":"ROOT/beneficial-owners/OWNER"}}}`))
		a.failed(t, want, map[int]string{502: "UpstreamError", 503: "Unavailable"}[want])
		if len(a.sent) != 0 || a.audit.text("dwolla_request_id") == "" {
			t.Errorf("%d: Dwolla was asked for %q; its request id is %q", status, a.sent, a.audit["dwolla_request_id"])
		}
	}
}

func TestDisconnectedCallerIsNotAFailure(t *testing.T) {
	w := newWorld(t)
	arrived, _ := w.dwolla.Hold("/client-tokens", 1)
	mark := w.logs.mark()
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		<-arrived
		leave()
	}()
	resp, err := w.client.Do(w.request(alice, http.MethodPost, "/client-tokens", body(`{"action":"customer.read"}`)).WithContext(ctx))
	if err == nil {
		_ = resp.Body.Close()
	}
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("the call ended with %v", err)
	}
	accessLineOf(t, w.logs.await(t, mark, "access")).has(t, accessLine{Status: 499, Code: "ClientClosedRequest", User: alice})
	w.logs.await(t, mark, "audit").has(t, line{
		"outcome": "ClientClosedRequest", "user": alice, "customer": alicesID, "action": "customer.read", "token_sha256_prefix": "",
	})
	for name, value := range w.series() {
		if strings.Contains(name, `code="5`) || strings.Contains(name, `code="499"`) && value != "1" {
			t.Errorf("%s is %s", name, value)
		}
	}
	if !strings.Contains(w.metricsText(), `dropgate_http_requests_total{code="499",method="POST",route="/client-tokens"} 1`) {
		t.Error("the caller who went away is not counted")
	}
}

func TestRetryAfterIsRoundedUpAndPositive(t *testing.T) {
	for after, want := range map[time.Duration]string{
		0: "30", time.Millisecond: "1", time.Second: "1", 1200 * time.Millisecond: "2", 5 * time.Minute: "300", -time.Second: "1",
	} {
		w := newWorld(t, directory(func(context.Context, clienttoken.User) (clienttoken.CustomerURL, error) {
			return clienttoken.CustomerURL{}, &clienttoken.Failure{Code: clienttoken.Unavailable, RetryAfter: after}
		}))
		a := w.vend(t, alice, `{"action":"customer.read"}`)
		a.refused(t, http.StatusServiceUnavailable, "Unavailable")
		if got := a.header.Get("Retry-After"); got != want {
			t.Errorf("Retry-After is %q for %v, want %q", got, after, want)
		}
	}
}
