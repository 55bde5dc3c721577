package dwolla_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"dropgate/internal/clienttoken"
	"dropgate/internal/dwolla/emulator"
)

func TestEveryRefusalHasItsCodeAndRetryAfter(t *testing.T) {
	const refused, slow, away = clienttoken.UpstreamError, clienttoken.UpstreamTimeout, clienttoken.Unavailable
	tests := []struct {
		status     int
		code       string
		retryAfter string // the header
		want       clienttoken.Code
		pause      time.Duration
	}{
		{400, "BadRequest", "", refused, 0},
		{400, "ValidationError", "", refused, 0},
		{400, "DuplicateResource", "60", refused, 0},
		{403, "Forbidden", "", refused, 0},
		{403, "InvalidResourceState", "", refused, 0},
		{404, "NotFound", "", refused, 0},
		{405, "MethodNotAllowed", "", refused, 0},
		{406, "InvalidVersion", "", refused, 0},
		{408, "Odd", "", refused, 0},
		{409, "Conflict", "", refused, 0},
		{418, "Teapot", "", refused, 0},
		{304, "", "", refused, 0},
		{429, "TooManyRequests", "", away, 5 * time.Minute},
		{429, "TooManyRequests", "30", away, 30 * time.Second},
		{429, "TooManyRequests", "599", away, 599 * time.Second},
		{429, "TooManyRequests", "86400", away, 10 * time.Minute},
		{429, "TooManyRequests", "9999999999", away, 10 * time.Minute},  // overflows as a Duration
		{429, "TooManyRequests", "18446744074", away, 10 * time.Minute}, // and this one all the way round
		{429, "TooManyRequests", "99999999999999999999", away, 5 * time.Minute},
		{429, "TooManyRequests", "0", away, 5 * time.Minute},
		{429, "TooManyRequests", "-5", away, 5 * time.Minute},
		{429, "TooManyRequests", "Wed, 21 Oct 2026 07:28:00 GMT", away, 5 * time.Minute},
		{500, "ServerError", "", away, 5 * time.Second},
		{500, "RequestTimeout", "", slow, 0},
		{502, "ServerError", "", away, 5 * time.Second},
		{503, "ServerError", "", away, 5 * time.Second},
		{503, "ServerError", "120", away, 2 * time.Minute},
		{504, "ServerError", "", slow, 0},
		{599, "ServerError", "", away, 5 * time.Second},
		{999, "ServerError", "", away, 5 * time.Second},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%d %s %s", test.status, test.code, test.retryAfter), func(t *testing.T) {
			w := start(t) // a 429 is remembered
			w.InjectFault(emulator.OpCreateClientToken, emulator.Fault{
				Status: test.status, Code: test.code, Header: http.Header{"Retry-After": {test.retryAfter}},
			})
			_, err := w.vend(t.Context())
			w.wantFailure(t, err, test.want)
			failure := failureOf(t, err)
			if failure.RetryAfter != test.pause {
				t.Errorf("retry after %v, want %v", failure.RetryAfter, test.pause)
			}
			e := fault(t, err)
			wantFault(t, e, "create_client_token", test.status, test.code)
			if failure.DwollaRequestID != e.RequestID || e.RequestID == "" {
				t.Errorf("request ids %q and %q", failure.DwollaRequestID, e.RequestID)
			}
			if want := fmt.Sprintf("dwolla create_client_token: status %d %s", test.status, test.code); !strings.Contains(err.Error(), strings.TrimSpace(want)) {
				t.Errorf("%q is not in %v", want, err)
			}
			wantNothingOf(t, "an injected fault", err)
		})
	}
}

func TestConnectionsThatBreakAreUnavailable(t *testing.T) {
	tests := map[string]struct {
		fault  emulator.Fault
		status int // that was read before the end
	}{
		"cut before the answer":   {emulator.Fault{CutBefore: true}, 0},
		"cut in the answer":       {emulator.Fault{CutMidBody: true}, 200},
		"cut in a whole token":    {emulator.Fault{CutMidBody: true, Body: `{"token":"MARKER"}`}, 200},
		"cut in a refusal":        {emulator.Fault{CutMidBody: true, Status: 400, Body: `{"code":"MARKER"`}, 400},
		"cut in a server's error": {emulator.Fault{CutMidBody: true, Status: 500}, 500},
	}
	w := start(t)
	w.mustVend(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w.InjectFault(emulator.OpCreateClientToken, test.fault)
			token, err := w.vend(t.Context())
			if !token.IsZero() {
				t.Error("a token")
			}
			w.wantFailure(t, err, clienttoken.Unavailable)
			if failure := failureOf(t, err); failure.RetryAfter != 5*time.Second {
				t.Errorf("retry after %v", failure.RetryAfter)
			}
			wantFault(t, fault(t, err), "create_client_token", test.status, "")
			wantNothingOf(t, "MARKER", err)
		})
	}
	t.Run("refused", func(t *testing.T) {
		w.StopListening()
		_, err := w.vend(t.Context())
		w.wantFailure(t, err, clienttoken.Unavailable)
		wantFault(t, fault(t, err), "create_client_token", 0, "")
	})
}

func TestAnAttemptIsBoundedByTheTimeout(t *testing.T) {
	half := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"token":"MARKER`)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
	arrived := make(chan struct{}, 10)
	for name, test := range map[string]struct {
		api    http.HandlerFunc
		status int
	}{"no answer": {hangs(arrived), 0}, "half an answer": {half, 200}} {
		t.Run(name, func(t *testing.T) {
			// The access token comes in time on a slow machine too, or else
			// the attempt is not made at all: hence not impatience.
			w := startWith(t, setup{timeout: 500 * time.Millisecond, api: test.api})
			begin := time.Now()
			_, err := w.vend(t.Context())
			w.wantFailure(t, err, clienttoken.UpstreamTimeout)
			if failure := failureOf(t, err); failure.RetryAfter != 0 {
				t.Errorf("retry after %v", failure.RetryAfter)
			}
			e := fault(t, err)
			if string(e.Operation) != "create_client_token" || e.Status != test.status || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("kept %+v", e)
			}
			wantNothingOf(t, "MARKER", err)
			if took := time.Since(begin); took > patience/2 {
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestTheCallersOwnEndIsNotDwollasFault(t *testing.T) {
	arrived := make(chan struct{}, 1)
	w := startWith(t, setup{api: hangs(arrived)})
	t.Run("canceled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-arrived; cancel() }()
		_, err := w.vend(ctx)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if _, ok := errors.AsType[*clienttoken.Failure](err); ok {
			t.Errorf("a Failure: %v", err)
		}
	})
	t.Run("out of time", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), impatience)
		defer cancel()
		_, err := w.vend(ctx)
		w.wantFailure(t, err, clienttoken.UpstreamTimeout)
	})
	t.Run("canceled during the second attempt", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		attempts := 0
		w := startWith(t, setup{api: func(rw http.ResponseWriter, r *http.Request) {
			if attempts++; attempts == 2 {
				_, _ = io.Copy(io.Discard, r.Body)
				cancel()
				<-r.Context().Done()
				return
			}
			answers(http.StatusUnauthorized, `{"code":"ExpiredAccessToken"}`)(rw, r)
		}})
		if _, err := w.vend(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if log := w.log.String(); log != "" {
			t.Errorf("logged %s", log)
		}
	})
}

func TestOversizedResponseIsRefusedQuickly(t *testing.T) {
	w := start(t)
	w.mustVend(t)
	for _, f := range []emulator.Fault{{HugeBody: 1<<20 + 1}, {HugeBody: 1 << 30}, {HugeBody: 1 << 30, Status: 404}, {HugeBody: 1 << 40, Status: 201}} {
		w.InjectFault(emulator.OpCreateClientToken, f)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		begin := time.Now()
		_, err := w.vend(t.Context())
		took := time.Since(begin)
		runtime.ReadMemStats(&after)
		w.wantFailure(t, err, clienttoken.UpstreamError)
		if e := fault(t, err); e.Status != max(f.Status, 200) || e.RequestID == "" {
			t.Errorf("kept %+v", e)
		}
		if len(err.Error()) > 200 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
		if took > 3*time.Second {
			t.Errorf("%d bytes took %v", f.HugeBody, took)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 32<<20 {
			t.Errorf("%d bytes took %d bytes of memory", f.HugeBody, used)
		}
	}
}

func TestSuccessWithoutTokenIsAFailure(t *testing.T) {
	tests := map[string]struct {
		status int
		body   string
	}{
		"empty":              {200, ""},
		"no content":         {204, ""},
		"nothing in it":      {200, "{}"},
		"an empty token":     {200, `{"token":""}`},
		"no token":           {200, `{"token":null}`},
		"a number":           {200, `{"token":5}`},
		"an object":          {200, `{"token":{"MARKER":"MARKER"}}`},
		"null":               {200, "null"},
		"a list":             {200, `[{"token":"MARKER"}]`},
		"a string":           {200, `"MARKER"`},
		"half":               {200, `{"token":"MARKER"`},
		"two values":         {200, `{"token":"MARKER"}{"token":"MARKER"}`},
		"two tokens":         {200, `{"token":"MARKER","token":"MARKER"}`},
		"a name twice":       {200, `{"MARKER":1,"MARKER":2}`},
		"other letter case":  {200, `{"Token":"MARKER"}`},
		"not UTF-8":          {200, "{\"token\":\"MARKER\xff\"}"},
		"HTML":               {200, "<html><title>MARKER</title></html>"},
		"created, nothing":   {201, "{}"},
		"created, garbage":   {201, "MARKER"},
		"an error in a 200":  {200, `{"code":"MARKER","message":"MARKER"}`},
		"other letters":      {200, `{"tokens":"MARKER"}`},
		"not a token at all": {200, "\x00\xff\xfe"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := startWith(t, setup{api: answers(test.status, test.body)})
			token, err := w.vend(t.Context())
			if !token.IsZero() || token.DwollaRequestID != "" {
				t.Errorf("got %q", token.Reveal())
			}
			w.wantFailure(t, err, clienttoken.UpstreamError)
			failure := failureOf(t, err)
			wantFault(t, fault(t, err), "create_client_token", test.status, "")
			if failure.DwollaRequestID != "req-1" || failure.RetryAfter != 0 {
				t.Errorf("got %+v", failure)
			}
			wantNothingOf(t, "MARKER", err)
		})
	}
}
