package clienttoken

import "context"

// Setup is what a page needs to set up its drop-in components for a user.
type Setup struct {
	Customer   Customer // zero if the user has none
	Actions    []Action
	Components []Component
	// CorrelationID belongs on the Customer that the user creates. It is empty if
	// the user has a Customer or there is no enrollment.
	CorrelationID string
}

// Setup returns what a page needs to know about user. Its errors are those of
// Directory and Policy.
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
