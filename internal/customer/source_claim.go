package customer

import (
	"context"
	"fmt"

	"dropgate/internal/clienttoken"
)

// Claim finds the Customer in a claim of the user's sign-in. Both fields are required.
type Claim struct {
	API  clienttoken.API
	Name string // of the claim; its value is the id or URL of a Customer of API
}

// Customer returns the Customer in the user's claim. A claim that is absent, null or
// "" is clienttoken.ErrNoCustomer. A value that names no Customer of the API is a
// *clienttoken.Failure.
func (c Claim) Customer(_ context.Context, user clienttoken.User) (clienttoken.CustomerURL, error) {
	var value string
	switch v := user.Claims[c.Name].(type) {
	case nil:
	case string:
		value = v
	default:
		return clienttoken.CustomerURL{}, c.fault(fmt.Errorf("claim %.100q is %s, not a string", c.Name, clienttoken.ClaimKind(v)))
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
	failure.Remedy = fmt.Sprintf("CUSTOMER_CLAIM: the claim %.100q of a user does not name a Customer of %s: it must be a string with the id or URL, or absent for none", c.Name, c.API.Root())
	return failure
}

// misconfigured returns the failure for a source that is set up wrongly. ErrNoCustomer
// would let the user create a second Customer. There is no RetryAfter, since an
// operator has to act.
func misconfigured(err error) *clienttoken.Failure {
	return &clienttoken.Failure{Code: clienttoken.Unavailable, Err: err}
}
