//go:build faults

package faults_test

import (
	"fmt"
	"testing"

	"dropgate/internal/dwolla/emulator"
)

// brokenPromises lists violations of promise 1. Dwolla must have made each token for that
// user's own Customer and for the action, and each token is handed out once.
func brokenPromises(shots []shot, vended []emulator.ClientToken) []string {
	byToken := map[string]emulator.ClientToken{}
	for _, token := range vended {
		byToken[token.Token] = token
	}
	var found []string
	holders := map[string]string{}
	for _, s := range shots {
		if s.token == "" {
			continue
		}
		name := s.caller.user.name
		token, known := byToken[s.token]
		switch {
		case !known:
			found = append(found, name+" got a token Dwolla never vended")
		case token.CustomerID != s.caller.user.customer:
			found = append(found, fmt.Sprintf("%s, whose Customer is %s, got a token for %q", name, s.caller.user.customer, token.CustomerID))
		case token.Action != "customer.read":
			found = append(found, fmt.Sprintf("%s asked for customer.read and got a token for %s", name, token.Action))
		case s.caller.refusal != "":
			found = append(found, name+" got a token instead of "+s.caller.refusal)
		}
		if holder, twice := holders[s.token]; twice {
			found = append(found, fmt.Sprintf("%s got a token already handed out to %s", name, holder))
		}
		holders[s.token] = name
	}
	return found
}

// TestPromise1CheckCanFail feeds the check with broken promises.
func TestPromise1CheckCanFail(t *testing.T) {
	alice := &caller{user: user{name: "alice", customer: customerID(1)}}
	bob := &caller{user: user{name: "bob", customer: customerID(2)}}
	mallory := &caller{user: user{name: "mallory", customer: customerID(3)}, refusal: mismatch}
	vended := []emulator.ClientToken{
		{Token: "a", Action: "customer.read", CustomerID: customerID(1)},
		{Token: "b", Action: "customer.read", CustomerID: customerID(2)},
		{Token: "m", Action: "customer.read", CustomerID: customerID(3)},
		{Token: "update", Action: "customer.update", CustomerID: customerID(1)},
		{Token: "without a Customer", Action: "customer.read"},
	}
	for name, test := range map[string]struct {
		shots []shot
		want  int
	}{
		"each got their own token":   {[]shot{{caller: alice, token: "a"}, {caller: bob, token: "b"}, {caller: mallory, status: 403}}, 0},
		"another's Customer":         {[]shot{{caller: alice, token: "b"}}, 1},
		"swapped tokens":             {[]shot{{caller: alice, token: "b"}, {caller: bob, token: "a"}}, 2},
		"no Customer":                {[]shot{{caller: alice, token: "without a Customer"}}, 1},
		"another action":             {[]shot{{caller: alice, token: "update"}}, 1},
		"not Dwolla's":               {[]shot{{caller: alice, token: "made up"}}, 1},
		"the same token twice":       {[]shot{{caller: alice, token: "a"}, {caller: alice, token: "a"}}, 1},
		"the attacker got his own":   {[]shot{{caller: mallory, token: "m"}}, 1},
		"the attacker got another's": {[]shot{{caller: mallory, token: "b"}}, 1},
	} {
		if got := brokenPromises(test.shots, vended); len(got) != test.want {
			t.Errorf("%s: %q, want %d", name, got, test.want)
		}
	}
}
