package dwolla

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"dropgate/internal/clienttoken"
)

func TestRetriedFaults(t *testing.T) {
	dial := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	expired := `{"code":"ExpiredAccessToken"}`
	tests := map[string]struct {
		reply  reply
		reason retryReason
	}{
		"500":                    {reply{status: 500}, "500"},
		"502":                    {reply{status: 502}, "502"},
		"503":                    {reply{status: 503}, "503"},
		"504":                    {reply{status: 504}, "504"},
		"refused":                {reply{err: dial}, "connection"},
		"ended":                  {reply{err: io.EOF}, "connection"},
		"no HTTP":                {reply{err: errors.New("malformed HTTP response")}, "connection"},
		"cut":                    {reply{cut: true}, "connection"},
		"cut in a refusal":       {reply{cut: true, status: 400}, "connection"},
		"cut in a 500":           {reply{cut: true, status: 500}, "connection"},
		"an expired token":       {reply{status: 401, body: expired}, "access_token"},
		"an invalid token":       {reply{status: 401, body: `{"code":"InvalidAccessToken"}`}, "access_token"},
		"503 and Retry-After":    {reply{status: 503, retryAfter: "1"}, ""},
		"cut, and Retry-After":   {reply{status: 503, retryAfter: "1", cut: true}, ""},
		"429":                    {reply{status: 429, retryAfter: "1"}, ""},
		"429 of a token":         {reply{status: 429, body: expired}, ""},
		"cut in a 429":           {reply{status: 429, cut: true}, ""},
		"a refused application":  {reply{status: 401, body: `{"code":"InvalidCredentials"}`}, ""},
		"400":                    {reply{status: 400}, ""},
		"403":                    {reply{status: 403, body: expired}, ""},
		"404":                    {reply{status: 404}, ""},
		"408":                    {reply{status: 408}, ""},
		"501":                    {reply{status: 501}, ""},
		"505":                    {reply{status: 505}, ""},
		"a redirect":             {reply{status: 302}, ""},
		"too slow":               {reply{latency: time.Hour}, ""},
		"too slow to dial":       {reply{err: &net.OpError{Op: "dial", Err: context.DeadlineExceeded}}, ""},
		"a stranger certificate": {reply{err: &tls.CertificateVerificationError{Err: errors.New("unknown authority")}}, ""},
		"too large":              {reply{body: strings.Repeat(" ", maxBody+1)}, ""},
		"nonsense":               {reply{body: "<html>"}, ""},
		"no token":               {reply{body: "{}"}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
				w.inTurn(test.reply, reply{})
				err := w.vend(t.Context())
				if test.reason == noRetry {
					if err == nil {
						t.Error("no error")
					}
					w.wantCalls(t, 1)
					w.wantSamples(t, "dropgate_dwolla_retries_total", map[string]float64{})
					return
				}
				if err != nil {
					t.Error(err)
				}
				w.wantCalls(t, 2)
				w.wantSamples(t, "dropgate_dwolla_retries_total", map[string]float64{"create_client_token " + string(test.reason): 1})
			})
		})
	}
}

func TestAtMostTwoAttempts(t *testing.T) {
	expired := reply{status: 401, body: `{"code":"ExpiredAccessToken"}`}
	for i, replies := range [][]reply{
		{{status: 500}, {status: 500}, {}},
		{expired, {status: 500}, {}},
		{{status: 500}, expired, {}},
		{expired, expired, {}},
		{{err: io.EOF}, {cut: true}, {}},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
				w.inTurn(replies...)
				if err := w.vend(t.Context()); err == nil {
					t.Error("no error")
				}
				w.wantCalls(t, 2)
			})
		})
	}
}

// TestTheSecondAttemptComesAfterARandomPause of up to 100 ms: full jitter.
func TestTheSecondAttemptComesAfterARandomPause(t *testing.T) {
	for name, fault := range map[string]reply{"a fault": {status: 500}, "a rejected token": {status: 401, body: `{"code":"InvalidAccessToken"}`}} {
		t.Run(name, func(t *testing.T) {
			withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
				for range 1000 {
					w.mustVend(t) // for a budget, and for a circuit that stays closed
				}
				var pauses []time.Duration
				for range 50 {
					w.inTurn(fault, reply{})
					w.mustVend(t)
					at := w.calls()
					pauses = append(pauses, at[1]-at[0])
				}
				slices.Sort(pauses)
				// By chance one run in 10^9 fails here.
				const longest = 100 * time.Millisecond
				if pauses[5] > longest/2 || pauses[44] < longest/2 || pauses[49] > longest || len(slices.Compact(pauses)) < 40 {
					t.Errorf("pauses of %v", pauses)
				}
			})
		})
	}
}

func TestCallerLeavesDuringThePause(t *testing.T) {
	withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
		w.jitter = func(most time.Duration) time.Duration { return most }
		w.always(reply{status: http.StatusInternalServerError})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(30*time.Millisecond, cancel)
		if err := w.vend(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(w.begin); took != 30*time.Millisecond {
			t.Errorf("took %v", took)
		}
		w.wantCalls(t, 1)
		w.wantSamples(t, "dropgate_dwolla_retries_total", map[string]float64{})
	})
}

func TestARetryIsSpentOnlyWithinTheBudget(t *testing.T) {
	withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
		w.mustVend(t)
		w.always(reply{status: http.StatusBadGateway})
		calls := []func() error{
			func() error { return w.vend(t.Context()) },
			func() error { return w.customer(t) },
			func() error { return w.owners(t) },
		}
		for i := range 15 { // over three circuits, so that none of them opens
			wantFailureOf(t, calls[i%3](), clienttoken.Unavailable)
		}
		w.wantCalls(t, 15+budgetFloor)
		w.wantSamples(t, "dropgate_dwolla_retries_total", map[string]float64{
			"create_client_token 502": 4, "get_customer 502": 3, "list_beneficial_owners 502": 3,
		})
		w.wantSamples(t, "dropgate_dwolla_rejected_total", map[string]float64{"retry_budget": 5})
		pass(time.Minute)
		w.inTurn(reply{status: http.StatusBadGateway}, reply{})
		w.mustVend(t)
		w.wantCalls(t, 2)
	})
}

func TestRetryBudgetIsATenthOfRecentCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget()
		spendAll := func() int {
			n := 0
			for b.spend() {
				n++
			}
			return n
		}
		want := func(when string, want int) {
			t.Helper()
			if got := spendAll(); got != want {
				t.Errorf("%s: %d retries, want %d", when, got, want)
			}
		}
		want("at the start", budgetFloor)
		want("when it is used up", 0)
		for range 500 {
			b.count()
		}
		want("of 500 calls", 50-budgetFloor)
		pass(54 * time.Second)
		want("within the minute", 0)
		for range 1000 {
			b.count()
		}
		want("of 1500 calls", 100)
		pass(7 * time.Second) // the first 500 calls are forgotten, and the 50
		want("a minute later", 0)
		pass(54 * time.Second)
		want("when all is forgotten", budgetFloor)
		pass(1000 * time.Hour)
		want("much later", budgetFloor)
		for range 1000 {
			b.count()
			pass(60 * time.Millisecond) // a minute of steady calls
		}
		if got := spendAll(); got < 90 || got > 100 {
			t.Errorf("%d retries of 1000 calls in a minute", got)
		}
	})
}

// TestCallsThatAreNotSentBuyNoRetries: or an outage would pay for itself.
func TestCallsThatAreNotSentBuyNoRetries(t *testing.T) {
	withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
		w.always(reply{status: http.StatusTooManyRequests})
		wantFailureOf(t, w.vend(t.Context()), clienttoken.Unavailable)
		for range 1000 {
			w.wantRejected(t, throttled, 5*time.Minute)
		}
		if got := w.budget.total.calls; got != 1 {
			t.Errorf("%d calls counted", got)
		}
	})
}

// TestCallTakesAtMostTwiceTheTimeout, whatever it waits for.
func TestCallTakesAtMostTwiceTheTimeout(t *testing.T) {
	const most = 10 * time.Second
	tests := map[string]struct {
		token   time.Duration // to get the access token
		replies []reply
		took    time.Duration // zero: most
		calls   int
	}{
		"an attempt has its timeout":        {0, []reply{{latency: time.Hour}}, 5 * time.Second, 1},
		"after a slow access token too":     {4 * time.Second, []reply{{latency: time.Hour}}, 9 * time.Second, 1},
		"a second attempt has what is left": {4 * time.Second, []reply{{status: 500, latency: 4 * time.Second}, {latency: time.Hour}}, 0, 2},
		"and so has its access token":       {4 * time.Second, []reply{{status: 401, body: `{"code":"ExpiredAccessToken"}`, latency: 4 * time.Second}, {}}, 0, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
				w.token.set(http.StatusOK, test.token)
				w.inTurn(test.replies...)
				err := w.vend(t.Context())
				wantFailureOf(t, err, clienttoken.UpstreamTimeout)
				if took := time.Since(w.begin); test.took == 0 && took != most || test.took != 0 && took != test.took {
					t.Errorf("took %v", took)
				}
				w.wantCalls(t, test.calls)
			})
		})
	}
}

// Nothing is sent after the deadline, and no request is counted.
func TestPauseAndQueueCountTowardsTheDeadline(t *testing.T) {
	for name, test := range map[string]struct {
		first   time.Duration // how long the first attempt takes, with its access token
		retries map[string]float64
	}{
		"the pause": {9950 * time.Millisecond, map[string]float64{}},
		"the queue": {9500 * time.Millisecond, map[string]float64{"create_client_token 500": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			withFakeDwollaConfig(t, slots(1), func(t *testing.T, w *fakeDwolla) {
				w.jitter = func(most time.Duration) time.Duration { return most }
				const attempt = 4990 * time.Millisecond
				w.token.set(http.StatusOK, test.first-attempt)
				w.always(reply{status: http.StatusInternalServerError, latency: attempt})
				time.AfterFunc(test.first+time.Millisecond, func() {
					_ = w.bulkhead.Enter(context.Background(), time.Now().Add(time.Hour)) // it is free
					time.AfterFunc(time.Minute, w.bulkhead.Leave)
				})
				wantFailureOf(t, w.vend(t.Context()), clienttoken.Unavailable)
				if took := time.Since(w.begin); took != 10*time.Second {
					t.Errorf("took %v", took)
				}
				w.wantCalls(t, 1)
				w.wantSamples(t, "dropgate_dwolla_retries_total", test.retries)
				pass(time.Minute)
			})
		})
	}
}

func TestShortenedAttemptIsInconclusive(t *testing.T) {
	withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
		w.jitter = func(most time.Duration) time.Duration { return most }
		w.token.set(http.StatusOK, time.Second)
		n := 0
		w.by(func(*http.Request) reply {
			if n++; n <= budgetFloor {
				return reply{status: 500, latency: 4950 * time.Millisecond}
			}
			return reply{latency: time.Hour}
		})
		for _, err := range atSameTime(budgetFloor, func(int) error { return w.vend(t.Context()) }) {
			wantFailureOf(t, err, clienttoken.UpstreamTimeout)
		}
		w.wantCalls(t, 2*budgetFloor)
		w.wantState(t, opCreateClientToken, stateClosed)
	})
}
