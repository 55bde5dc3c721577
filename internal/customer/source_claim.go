package customer

import (
	"context"
	"fmt"

	"dropgate/internal/clienttoken"
)

// Claim is the directory of an application whose identity provider knows each
// user's Customer and says so in a claim. Both fields are required.
type Claim struct {
	API  clienttoken.API
	Name string // of the claim, whose value is the id or the URL of a Customer of API
}

// Customer returns the Customer that the user's claim names. A claim that is
// absent, null or "" is clienttoken.ErrNoCustomer; one that names no Customer
// of the API, or of another type than string, is a *clienttoken.Failure. It does no I/O and never waits.
func (c Claim) Customer(_ context.Context, user clienttoken.User) (clienttoken.CustomerURL, error) {
	var value string
	switch v := user.Claims[c.Name].(type) {
	case nil:
	case string:
		value = v
	default:
		return clienttoken.CustomerURL{}, c.fault(fmt.Errorf("claim %.100q is a %T, not a string", c.Name, v))
	}
	if value == "" {
		return clienttoken.CustomerURL{}, clienttoken.ErrNoCustomer
	}
	customer, err := clienttoken.ParseCustomer(c.API, value)
	if err != nil {
		return clienttoken.CustomerURL{}, c.fault(fmt.Errorf("claim %.100q: %w", c.Name, err))
	}
	return customer, nil
}

func (c Claim) fault(err error) *clienttoken.Failure {
	failure := misconfigured(err)
	failure.Remedy = fmt.Sprintf("CUSTOMER_CLAIM: the claim %.100q of a user does not name a Customer of %s: it has to be a string with the id or the URL, or absent for none", c.Name, c.API.Root())
	return failure
}

// misconfigured is the answer where the identity provider is set up wrongly
// for a user. "No Customer" would be a lie with consequences: the user could
// create a second one. It is not the user's fault either, hence no refusal,
// and nobody knows when it will be mended, hence no RetryAfter.
func misconfigured(err error) *clienttoken.Failure {
	return &clienttoken.Failure{Code: clienttoken.Unavailable, Err: err}
}
