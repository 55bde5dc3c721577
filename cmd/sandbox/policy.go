package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"dropgate/internal/clienttoken"
)

// policyName names a demo user's policy.
type policyName string

// The policies of the switch on the demo page.
const (
	policyAll      policyName = "all"       // every action that can be allowed
	policyReadOnly policyName = "read-only" // actions that read
	policyNone     policyName = "none"
)

// allowed returns the decision of a policy. No policy allows
// customer.transfers.send, as dropgate never does.
func (n policyName) allowed() clienttoken.Allowed {
	actions := slices.DeleteFunc(clienttoken.Actions(), func(a clienttoken.Action) bool {
		switch {
		case a == clienttoken.ActionCustomerTransfersSend:
			return true
		case n == policyAll:
			return false
		case n == policyReadOnly:
			return !strings.HasSuffix(string(a), ".read")
		}
		return true
	})
	return clienttoken.NewAllowed("sandbox policy "+string(n), actions...)
}

// policySwitch is a policy that can be changed for each user while the service
// runs. It is safe for concurrent use.
type policySwitch struct {
	mu     sync.RWMutex
	byUser map[string]policyName
}

func newPolicySwitch(personas []persona) *policySwitch {
	s := &policySwitch{byUser: map[string]policyName{}}
	for _, p := range personas {
		s.byUser[p.User] = p.policy
	}
	return s
}

// of returns the policy of a user. An unknown user may do nothing.
func (s *policySwitch) of(user string) policyName {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if name, known := s.byUser[user]; known {
		return name
	}
	return policyNone
}

// For implements clienttoken.Policy.
func (s *policySwitch) For(_ context.Context, user clienttoken.User) (clienttoken.Allowed, error) {
	return s.of(user.ID).allowed(), nil
}

// set changes the policy of a known user.
func (s *policySwitch) set(user string, name policyName) error {
	if name != policyAll && name != policyReadOnly && name != policyNone {
		return fmt.Errorf("the policy is none of %s, %s and %s", policyAll, policyReadOnly, policyNone)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.byUser[user]; !known {
		return fmt.Errorf("there is no user %.100q", user)
	}
	s.byUser[user] = name
	return nil
}

// add gives a new user every action.
func (s *policySwitch) add(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byUser[user] = policyAll
}
