package provider

import (
	"fmt"
	"maps"
	"slices"
	"sync"
)

// maxUsers bounds AddUser.
const maxUsers = 1000

// users holds the users' claims by name. It is safe for concurrent use.
type users struct {
	mu     sync.RWMutex
	claims map[string]map[string]any
}

func newUsers(given map[string]map[string]any) *users {
	u := &users{claims: map[string]map[string]any{}}
	for name, claims := range given {
		u.claims[name] = maps.Clone(claims)
	}
	return u
}

// add adds a user. The name must be free.
func (u *users) add(name string, claims map[string]any) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, taken := u.claims[name]; taken || name == "" {
		return fmt.Errorf("the user name %.100q is empty or taken", name)
	}
	if len(u.claims) >= maxUsers {
		return fmt.Errorf("there are %d users, the most allowed", maxUsers)
	}
	u.claims[name] = maps.Clone(claims)
	return nil
}

// of returns a user's claims, which nobody changes, and whether there is such a
// user.
func (u *users) of(name string) (map[string]any, bool) {
	u.mu.RLock()
	defer u.mu.RUnlock()
	claims, known := u.claims[name]
	return claims, known
}

// names lists the users in alphabetical order.
func (u *users) names() []string {
	u.mu.RLock()
	defer u.mu.RUnlock()
	return slices.Sorted(maps.Keys(u.claims))
}
