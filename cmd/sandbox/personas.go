package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"dropgate/internal/auth/provider"
	"dropgate/internal/dwolla/emulator"
)

// The demo users' Customers. They exist only in the emulator.
const (
	demoAlice = "11111111-1111-4111-8111-111111111111"
	demoBob   = "22222222-2222-4222-8222-222222222222"
	demoDave  = "44444444-4444-4444-8444-444444444444"
	demoErin  = "55555555-5555-4555-8555-555555555555"

	demoAlicesBalance = "a1111111-1111-4111-8111-111111111111"
	demoAlicesBank    = "a2222222-2222-4222-8222-222222222222"
	demoAlicesNewBank = "a3333333-3333-4333-8333-333333333333"
)

// persona is a demo user.
type persona struct {
	User        string `json:"user"`
	Name        string `json:"name"`
	Description string `json:"description"`
	Customer    string `json:"customer,omitempty"` // id of the Customer at the start; empty: none

	policy policyName        // at the start
	seed   emulator.Customer // at the emulator, apart from the id
	funds  []emulator.FundingSource
	owners []emulator.BeneficialOwner
}

// demoPersonas returns the demo users, with their Customers at the emulator.
func demoPersonas(o options) []persona {
	return []persona{
		{
			User: "alice", Name: "Alice Demo", Customer: o.alice, policy: policyAll,
			Description: "Verified personal Customer with a bank and a balance.",
			seed:        emulator.Customer{Type: "personal", Status: "verified"},
			funds: []emulator.FundingSource{
				{ID: demoAlicesBalance, Type: "balance", Balance: "1250.00"},
				{ID: demoAlicesBank, Type: "bank", Name: "Alice's checking", Status: "verified"},
				{ID: demoAlicesNewBank, Type: "bank", Name: "Alice's savings", Status: "unverified", BankAccountType: "savings"},
			},
		},
		{
			User: "bob", Name: "Bob Demo", Customer: o.bob, policy: policyReadOnly,
			Description: "Verified business, owners not certified." + readOnlyAtFirst,
			seed:        emulator.Customer{Type: "business", Status: "verified", BusinessName: "Bob's Bakery LLC", Certification: "uncertified"},
			funds:       []emulator.FundingSource{{Type: "bank", Name: "Bakery checking", Status: "verified"}},
			owners:      []emulator.BeneficialOwner{{FirstName: "Bob", LastName: "Demo"}, {FirstName: "Beatrix", LastName: "Baker"}},
		},
		{
			User: "carol", Name: "Carol Demo", policy: policyAll,
			Description: "New here: has no Customer yet, and creates one.",
		},
		{
			User: "dave", Name: "Dave Demo", Customer: demoDave, policy: policyAll,
			Description: "Unverified Customer, can upgrade to a verified one.",
			seed:        emulator.Customer{Type: "unverified", Status: "unverified"},
		},
		{
			User: "erin", Name: "Erin Demo", Customer: demoErin, policy: policyAll,
			Description: "Personal Customer. Dwolla wants to see a document.",
			seed:        emulator.Customer{Type: "personal", Status: "document"},
		},
	}
}

// readOnlyAtFirst is the end of a description. It is true only where the page switches
// policies.
const readOnlyAtFirst = " May only read at first."

// withoutPolicies returns the demo users for a service elsewhere.
func withoutPolicies(all []persona) []persona {
	for i := range all {
		all[i].Description = strings.TrimSuffix(all[i].Description, readOnlyAtFirst)
	}
	return all
}

// atDwolla returns the demo users for Dwolla's own sandbox. Only alice and bob have a
// Customer there, because the others' exist only in the emulator.
func atDwolla(all []persona) []persona {
	for i, p := range all {
		if p.Customer != "" && p.User != "alice" && p.User != "bob" {
			all[i].Customer, all[i].Description = "", "Has no Customer at Dwolla's sandbox."
		}
	}
	return all
}

// withOwnCustomers returns the demo users for a page before Dwolla's sandbox. The demo
// Customers are unknown there, so users without one of their own create one.
func withOwnCustomers(all []persona) []persona {
	for i, p := range all {
		if p.Customer == "" || p.Customer == demoAlice || p.Customer == demoBob {
			all[i].Customer, all[i].Description = "", "Has no Customer at Dwolla's sandbox yet."
		}
	}
	return all
}

func (p persona) email() string { return p.User + "@example.com" }

// claims are those of the persona at the demo provider.
func (p persona) claims() map[string]any {
	claims := map[string]any{"name": p.Name, "email": p.email()}
	if p.Customer != "" {
		claims["dwolla_customer"] = p.Customer
	}
	return claims
}

// addPersonas gives the personas their Customers.
func addPersonas(dwolla *emulator.Emulator, personas []persona) error {
	for _, p := range personas {
		if p.Customer == "" {
			continue
		}
		if err := p.addTo(dwolla); err != nil {
			return fmt.Errorf("%s's Customer: %w", p.User, err)
		}
	}
	return nil
}

func (p persona) addTo(dwolla *emulator.Emulator) error {
	c := p.seed
	c.ID, c.FirstName, c.LastName, c.Email = p.Customer, p.firstName(), "Demo", p.email()
	_, err := dwolla.AddCustomer(c)
	for _, f := range p.funds {
		if err == nil {
			_, err = dwolla.AddFundingSource(p.Customer, f)
		}
		if err == nil && f.Status == "unverified" {
			err = dwolla.StartMicroDeposits(f.ID)
		}
	}
	for _, o := range p.owners {
		if err == nil {
			_, err = dwolla.AddOwner(p.Customer, o)
		}
	}
	return err
}

func (p persona) firstName() string {
	first, _, _ := strings.Cut(p.Name, " ")
	return first
}

// maxNewUsers bounds the users made by the page.
const maxNewUsers = 50

// roster is the list of demo users. It is safe for concurrent use.
type roster struct {
	mu       sync.RWMutex
	personas []persona
	made     int
}

// list returns the demo users. The caller may change the slice.
func (r *roster) list() []persona {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Clone(r.personas)
}

func (r *roster) has(user string) bool {
	return slices.ContainsFunc(r.list(), func(p persona) bool { return p.User == user })
}

// add makes a user without a Customer, known to the provider.
func (r *roster) add(to *provider.Provider) (persona, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.made >= maxNewUsers {
		return persona{}, fmt.Errorf("there are %d new users; restart the sandbox to make more", maxNewUsers)
	}
	number := strconv.Itoa(r.made + 1)
	p := persona{
		User: "user-" + number, Name: "New User " + number, policy: policyAll,
		Description: "Made by you. Has no Customer yet.",
	}
	if err := to.AddUser(p.User, p.claims()); err != nil {
		return persona{}, fmt.Errorf("the demo provider: %w", err)
	}
	r.made++
	r.personas = append(r.personas, p)
	return p, nil
}
