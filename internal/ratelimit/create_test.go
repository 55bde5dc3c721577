package ratelimit_test

import (
	"context"
	"testing"
	"time"

	"dropgate/internal/ratelimit"
)

// creates charges one customer.create token.
func creates(l *ratelimit.Limiter, user string) error {
	if err := l.CheckCreate(user); err != nil {
		return err
	}
	return l.PayCreate(context.Background(), user)
}

func TestCreateTokensHaveTheirOwnAllowance(t *testing.T) {
	now := newClock()
	l := limiter(ratelimit.Config{User: limit(25, time.Hour), Create: limit(2, time.Hour)}, now)
	for range 25 {
		wantPass(t, pay(l, "192.0.2.1", "alice"), "another request")
	}
	for range 2 {
		wantPass(t, creates(l, "alice"), "creating")
	}
	wantExceeded(t, creates(l, "alice"), ratelimit.Create, 30*time.Minute)
	wantExceeded(t, l.PayCreate(t.Context(), "alice"), ratelimit.Create, 30*time.Minute)
	wantPass(t, creates(l, "bob"), "bob's creating")
	now.move(30 * time.Minute)
	wantPass(t, creates(l, "alice"), "half an hour later")
	wantExceeded(t, creates(l, "alice"), ratelimit.Create, 30*time.Minute)
}

func TestCheckCreateChargesNothing(t *testing.T) {
	l := limiter(ratelimit.Config{Create: limit(1, time.Hour)}, newClock())
	for range 5 {
		wantPass(t, l.CheckCreate("alice"), "checking")
	}
	wantPass(t, creates(l, "alice"), "creating")
}

func TestCreateTokensMayBeUnlimited(t *testing.T) {
	for _, l := range []*ratelimit.Limiter{nil, limiter(ratelimit.Config{}, newClock())} {
		for range 5 {
			wantPass(t, creates(l, "alice"), "creating")
		}
	}
}

func TestReplicasShareTheCreateAllowance(t *testing.T) {
	config := ratelimit.Config{Create: limit(2, time.Hour), Redis: redisClient(t), Secret: []byte("the secret of these tests")}
	first, second, user := limiter(config, newClock()), limiter(config, newClock()), newAddress()
	wantPass(t, creates(first, user), "at the first replica")
	wantPass(t, creates(second, user), "at the second replica")
	wantExceeded(t, creates(first, user), ratelimit.Create, 30*time.Minute)
	wantExceeded(t, creates(second, user), ratelimit.Create, 30*time.Minute)
}
