package clienttoken

import (
	"context"
	"errors"
	"fmt"
)

// Enrollment links a Customer to the user who created it with a drop-in
// component. The browser learns the Customer's URL first, so the URL proves
// nothing. The correlationId does.
type Enrollment interface {
	// CorrelationID returns the correlationId for the user's new Customer.
	CorrelationID(user User) string
	// Expect records that user is about to create a Customer. Its errors are
	// those of Directory.
	Expect(ctx context.Context, user User) error
	// Enroll links the Customer to a user without one, and returns it. It returns
	// a *Refusal unless Dwolla confirms the user's correlationId on the Customer.
	// Other errors are those of Directory.
	Enroll(ctx context.Context, user User, customer CustomerURL) (Customer, error)
}

// OwnCustomer is the user's own Customer, or zero for none.
type OwnCustomer struct {
	Customer

	Enrolled bool // this request enrolled it
}

// LinkCustomer checks that href names the user's own Customer, or enrolls it for
// a user without one. The errors are those of Vend. Beside an error stands the
// user's Customer as far as it is known. cause is called for an enrollment only.
func (v *Vendor) LinkCustomer(ctx context.Context, user User, href string, cause func() Cause) (OwnCustomer, error) {
	watch := v.watch(user)
	defer watch.End()
	own, err := v.ownCustomer(ctx, user, href, enrolling{watch, cause})
	if err == nil && watch.Learnt(own.URL, BeneficialOwnerURL{}).Moved {
		err = refuse(CustomerMismatch, "the user's link changed during the request")
	}
	return own, err
}

// enrolling belongs to the request that causes an enrollment.
type enrolling struct {
	watch Watch
	cause func() Cause
}

// ownCustomer returns the user's own Customer. It refuses a request for any other
// Customer, and never replaces the name. A user without a Customer can enroll the
// named one.
func (v *Vendor) ownCustomer(ctx context.Context, user User, href string, by enrolling) (OwnCustomer, error) {
	found, err := v.findCustomer(ctx, user)
	if err != nil {
		return OwnCustomer{}, err
	}
	own := OwnCustomer{Customer: found}
	if href == "" {
		return own, nil
	}
	named, err := ParseCustomerURL(v.API, href)
	if err != nil {
		return own, refuse(CustomerMismatch, "customer link: %v", err)
	}
	if own.URL.IsZero() && v.Enrollment != nil {
		return v.enroll(ctx, user, named, by)
	}
	if named != own.URL {
		return own, refuse(CustomerMismatch, "the request names Customer %s", named.ID())
	}
	return own, nil
}

// findCustomer returns the user's Customer, or the zero Customer for none.
func (v *Vendor) findCustomer(ctx context.Context, user User) (Customer, error) {
	found, err := v.Directory.Customer(ctx, user)
	if errors.Is(err, ErrNoCustomer) {
		return Customer{}, nil
	}
	if err != nil {
		return Customer{}, fmt.Errorf("finding the user's Customer: %w", err)
	}
	return found, nil
}

// enroll links the named Customer to the user if Dwolla confirms it. The new
// Customer is also inactive if the directory says so.
func (v *Vendor) enroll(ctx context.Context, user User, named CustomerURL, by enrolling) (OwnCustomer, error) {
	enrolled, err := v.Enrollment.Enroll(by.cause().NewContext(ctx), user, named)
	if err != nil {
		return OwnCustomer{}, err
	}
	by.watch.Restart() // the directory learns of the new Customer below
	own := OwnCustomer{enrolled, true}
	found, err := v.Directory.Customer(ctx, user)
	switch {
	case err != nil && !errors.Is(err, ErrNoCustomer):
		return own, fmt.Errorf("finding the user's new Customer: %w", err)
	case found.URL == named && found.Status.Inactive():
		own.Status = found.Status
	}
	return own, nil
}
