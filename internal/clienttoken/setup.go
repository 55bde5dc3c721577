package clienttoken

import "context"

// Setup is the data for a page with drop-in components.
type Setup struct {
	Customer   Customer // zero if the user has none
	Actions    []Action
	Components []Component
	// CorrelationID belongs on the user's new Customer. It is empty for a user
	// with a Customer, and without enrollment.
	CorrelationID string
}

// Setup returns a page's data about user. Its errors are those of Directory and
// Policy.
func (v *Vendor) Setup(ctx context.Context, user User) (Setup, error) {
	customer, err := v.findCustomer(ctx, user)
	if err != nil {
		return Setup{}, err
	}
	allowed, err := v.allowed(ctx, user)
	if err != nil {
		return Setup{}, err
	}
	setup := Setup{Customer: customer, Actions: allowed.Actions(), Components: allowed.Components()}
	if customer.URL.IsZero() && v.Enrollment != nil {
		setup.CorrelationID = v.Enrollment.CorrelationID(user)
	}
	return setup, nil
}
