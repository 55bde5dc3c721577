package session_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"dropgate/internal/auth/session"
	"dropgate/internal/clienttoken"
	"dropgate/internal/ratelimit"
)

// scripted is a store with fixed answers.
type scripted struct {
	session session.Stored
	err     error
}

func (s *scripted) Start(context.Context, session.Key, session.Stored, session.SignIn) (session.Ended, error) {
	return session.Ended{Displaced: 7}, s.err
}

func (s *scripted) Find(context.Context, session.Key, session.Touch, *ratelimit.Charge) (session.Stored, error) {
	return s.session, s.err
}

func (s *scripted) End(context.Context, session.Selector) ([]session.Stored, error) {
	return []session.Stored{s.session}, s.err
}

func (s *scripted) List(context.Context, session.Selector) ([]session.Listed, error) {
	return []session.Listed{{UserID: "ann"}}, s.err
}

func TestRequestsAreCountedByOperationAndOutcome(t *testing.T) {
	registry := prometheus.NewRegistry()
	store := &scripted{session: session.Stored{Subject: "ann"}}
	o := session.Observe(store, registry)
	n := 0
	var want strings.Builder
	want.WriteString(`# HELP dropgate_session_store_requests_total Requests to the session store by operation (start, find, end, list) and outcome: ok, none (no such session), used (a sign-in or logout token was repeated), logged_out (a logout followed the start of the sign-in), limited (too many requests), canceled or unavailable.
# TYPE dropgate_session_store_requests_total counter
`)
	for _, c := range []struct {
		outcome string
		err     error
	}{
		{"ok", nil},
		{"none", session.ErrNone},
		{"none", fmt.Errorf("wrapped: %w", session.ErrNone)},
		{"used", session.ErrUsed},
		{"canceled", context.Canceled},
		{"canceled", fmt.Errorf("wrapped: %w", context.Canceled)},
		{"unavailable", &clienttoken.Failure{Code: clienttoken.Unavailable}},
		{"unavailable", context.DeadlineExceeded},
		{"unavailable", errors.New("anything else")},
		{"logged_out", session.ErrLoggedOut},
	} {
		store.err = c.err
		n++
		for range n {
			ended, err := o.Start(t.Context(), session.Key{}, session.Stored{}, session.SignIn{Once: "once"})
			wantPassed(t, ended.Displaced, 7, err, c.err)
		}
		for range 10 * n {
			s, err := o.Find(t.Context(), session.Key{}, session.Peek, nil)
			wantPassed(t, s.Subject, "ann", err, c.err)
		}
		for range 100 * n {
			ended, err := o.End(t.Context(), session.Selector{})
			wantPassed(t, ended[0].Subject, "ann", err, c.err)
		}
		for range 1000 * n {
			all, err := o.List(t.Context(), session.Selector{})
			wantPassed(t, all[0].UserID, "ann", err, c.err)
		}
	}
	for operation, unit := range map[string]int{"start": 1, "find": 10, "end": 100, "list": 1000} {
		for outcome, n := range map[string]int{"ok": 1, "none": 2 + 3, "used": 4, "canceled": 5 + 6, "unavailable": 7 + 8 + 9, "logged_out": 10, "limited": 0} {
			fmt.Fprintf(&want, "dropgate_session_store_requests_total{operation=%q,outcome=%q} %d\n", operation, outcome, unit*n)
		}
	}
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want.String()), "dropgate_session_store_requests_total"); err != nil {
		t.Error(err)
	}
}

// wantPassed checks that Observed returned the store's answer.
func wantPassed[T comparable](t *testing.T, got, want T, err, wantErr error) {
	t.Helper()
	if got != want || !errors.Is(err, wantErr) {
		t.Fatalf("got %v, error %v, want %v and error %v", got, err, want, wantErr)
	}
}
