package clienttoken_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"dropgate/internal/clienttoken"
)

// brokenPolicy is a failing Policy.
type brokenPolicy struct{ err error }

func (p brokenPolicy) For(context.Context, clienttoken.User) (clienttoken.Allowed, error) {
	return clienttoken.Allowed{}, p.err
}

func TestSetupOffersAllowedActionsOnly(t *testing.T) {
	w := newWorld(t)
	w.Policy = policy(t, "dwolla-balance-display")
	setup, err := w.Setup(t.Context(), alice)
	if err != nil || setup.Customer.URL != customer(t, alicesID) {
		t.Errorf("%+v, %v", setup, err)
	}
	if !slices.Equal(words(setup.Actions), []string{"customer.fundingsources.read"}) ||
		!slices.Contains(words(setup.Components), "dwolla-balance-display") ||
		slices.Contains(words(setup.Components), "dwolla-personal-vcr") {
		t.Errorf("actions %q, components %q", setup.Actions, setup.Components)
	}
}

func TestSetupNamesCorrelationIDsForNewUsers(t *testing.T) {
	for _, row := range []struct {
		name       string
		user       clienttoken.User
		enrollment clienttoken.Enrollment
		want       string
	}{
		{"a user without a Customer", carol, &enrollment{}, "dg1.carol"},
		{"a user with a Customer", alice, &enrollment{}, ""},
		{"no enrollment", carol, nil, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t)
			w.Enrollment = row.enrollment
			setup, err := w.Setup(t.Context(), row.user)
			if err != nil || setup.CorrelationID != row.want {
				t.Errorf("correlationId %q, %v; want %q", setup.CorrelationID, err, row.want)
			}
		})
	}
}

func TestSetupAndVendReportFailures(t *testing.T) {
	broken := errors.New("the rules are unreadable")
	w := newWorld(t)
	w.Policy = brokenPolicy{broken}
	if _, err := w.Setup(t.Context(), alice); !errors.Is(err, broken) {
		t.Errorf("setup without a policy: %v", err)
	}
	vended, err := w.Vend(t.Context(), alice, clienttoken.Request{Action: "customer.read"}, noCause)
	if !errors.Is(err, broken) || !vended.Token.IsZero() || len(w.dwolla.granted) != 0 {
		t.Errorf("vend without a policy: %v, %d grants", err, len(w.dwolla.granted))
	}
	w.Policy, w.directory.err = policyOfEverything(t), broken
	if _, err := w.Setup(t.Context(), alice); !errors.Is(err, broken) {
		t.Errorf("setup without a directory: %v", err)
	}
}
