//go:build faults

package faults_test

import (
	"fmt"

	"dropgate/internal/dwolla/emulator"
)

// broken lists violations of promise 1. Dwolla must have made each token for that
// user's own Customer and for the action, and each token is handed out once.
func broken(shots []shot, vended []emulator.ClientToken) []string {
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
			found = append(found, name+" got a token that Dwolla never made")
		case token.CustomerID != s.caller.user.customer:
			found = append(found, fmt.Sprintf("%s, whose Customer is %s, got a token for %q", name, s.caller.user.customer, token.CustomerID))
		case token.Action != "customer.read":
			found = append(found, fmt.Sprintf("%s asked for customer.read and got a token for %s", name, token.Action))
		case s.caller.refusal != "":
			found = append(found, name+" got a token instead of "+s.caller.refusal)
		}
		if holder, twice := holders[s.token]; twice {
			found = append(found, fmt.Sprintf("%s got a token that %s had got before", name, holder))
		}
		holders[s.token] = name
	}
	return found
}
