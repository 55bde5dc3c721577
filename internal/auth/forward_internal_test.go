package auth

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The cache size only shows in memory.
func TestForwardCacheStaysWithinItsByteLimit(t *testing.T) {
	code, sub := http.StatusOK, "alice"
	forward := NewForward(ForwardConfig{
		URL: "https://app.internal/whoami", Cache: time.Hour, UserClaim: "sub", Claims: []string{"name"},
		Transport: transport(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: code, Body: io.NopCloser(strings.NewReader(`{"sub":"` + sub + `","name":"` + strings.Repeat("n", 900) + `","more":"` + strings.Repeat("m", 15_000) + `"}`))}, nil
		}),
	})
	ask := func(n int) {
		ctx, end := context.WithCancel(t.Context())
		defer end()
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", http.NoBody)
		r.Header.Set("Cookie", fmt.Sprint("sid=", n))
		_, _ = forward.Authenticate(r, nil)
	}
	remembered := func(want int, when string) {
		t.Helper()
		if got := forward.users.Len(); got != want {
			t.Errorf("%d users are remembered %s, want %d", got, when, want)
		}
	}
	for _, code = range []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusInternalServerError} {
		ask(0)
	}
	code, sub = http.StatusOK, ""
	ask(0)
	remembered(0, "after answers without a user")
	sub = "alice"
	ask(0)
	ask(0)
	remembered(1, "after one")
	before := liveHeap()
	for n := range 10_500 {
		ask(n)
	}
	if grown := liveHeap() - before; grown > maxUsers*102/100 || forward.users.Bytes() < maxUsers*9/10 {
		t.Errorf("%d bytes of heap, %d counted", grown, forward.users.Bytes())
	}
	forward.config.Cache = 0
	known := forward.users.Len()
	ask(20_000)
	remembered(known, "with nothing to be remembered")
}

func TestInFlightCredentialsEndWithTheirRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var live inFlightCredentials
		one, two := questionDigest{1}, questionDigest{2}
		first, endFirst := context.WithCancel(t.Context())
		second, endSecond := context.WithCancel(t.Context())
		defer endSecond()
		over, overToo, other := live.track(first, one), live.track(second, one), live.track(second, two)
		live.refuse(one)
		if !over() || !overToo() || other() {
			t.Errorf("over: %t, %t, %t; want both of the first credentials", over(), overToo(), other())
		}
		if live.track(second, one)() {
			t.Error("a request after the refusal is over already")
		}
		endFirst()
		endSecond()
		synctest.Wait()
		if len(live.entries) != 0 {
			t.Errorf("%d credentials are held after their requests", len(live.entries))
		}
	})
}
