package clienttoken

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Directory knows which Customer is a user's own.
type Directory interface {
	// Customer returns the user's Customer, ErrNoCustomer when the user has
	// none, or a *Failure when that cannot be known now.
	Customer(ctx context.Context, user User) (CustomerURL, error)
}

// Dwolla is the part of Dwolla's API that vending needs. An error that is not
// the caller's own cancellation is a *Failure.
type Dwolla interface {
	CreateClientToken(ctx context.Context, grant Grant) (Token, error)
	ListBeneficialOwners(ctx context.Context, customer CustomerURL) ([]BeneficialOwnerURL, error)
}

// Request is what a drop-in component asks for, word for word: nothing in it
// is believed. An empty link is one that was not named.
type Request struct {
	Action          string
	Customer        string // the href of the "customer" link
	BeneficialOwner string // the href of the "beneficial-owner" link
}

// Grant is what Dwolla is asked to make a token for. It is built from scratch,
// from verified parts only; a zero link is not sent.
type Grant struct {
	Action          Action
	Customer        CustomerURL
	BeneficialOwner BeneficialOwnerURL
}

// Token is a client token: it works once, within the hour, for one action and
// one Customer. It is never stored and never cached.
type Token struct {
	Secret
	DwollaRequestID string // Dwolla's X-Request-Id of the answer that held it
}

// Vended tells what was handed out, and for whom. Beside an error it holds what
// was known by then, for the audit.
type Vended struct {
	Action   Action
	Customer CustomerURL // the user's own, whether or not the token needed it
	Token    Token
}

// Vendor vends client tokens. All fields are required.
type Vendor struct {
	API       API
	Policy    Policy
	Directory Directory
	Dwolla    Dwolla
}

// Vend hands user a token for what req asks, or returns a *Refusal, a *Failure
// or the error of a context that ended. The checks stand in the order in which
// they happen, and every one of them runs before Dwolla is asked for the token.
func (v *Vendor) Vend(ctx context.Context, user User, req Request) (Vended, error) {
	var vended Vended
	action, err := ParseAction(req.Action)
	if err != nil {
		return vended, refuse(ActionNotAllowed, "%v", err)
	}
	vended.Action = action
	if !v.Policy.Allows(user, action) {
		return vended, refuse(ActionNotAllowed, "the policy does not allow %s", action)
	}
	customer, err := v.Directory.Customer(ctx, user)
	switch {
	case err == nil:
		vended.Customer = customer
	case !errors.Is(err, ErrNoCustomer):
		return vended, fmt.Errorf("finding the user's Customer: %w", err)
	}
	grant, err := v.grant(ctx, vended, req)
	if err != nil {
		return vended, err
	}
	vended.Token, err = v.Dwolla.CreateClientToken(ctx, grant)
	if err != nil {
		return vended, fmt.Errorf("creating a client token: %w", err)
	}
	return vended, nil
}

// grant checks the links of req against the user's own Customer. What the
// request names must be the user's own, and is refused, not replaced, when it
// is not; what it does not name is added.
func (v *Vendor) grant(ctx context.Context, own Vended, req Request) (Grant, error) {
	if req.Customer != "" {
		named, err := ParseCustomerURL(v.API, req.Customer)
		if err != nil {
			return Grant{}, refuse(CustomerMismatch, "customer link: %v", err)
		}
		if named != own.Customer {
			return Grant{}, refuse(CustomerMismatch, "the request names Customer %s", named.ID())
		}
	}
	if own.Action == ActionCustomerCreate && !own.Customer.IsZero() {
		return Grant{}, refuse(CustomerAlreadyLinked, "the user has a Customer already")
	}
	grant := Grant{Action: own.Action, Customer: own.Customer}
	if req.BeneficialOwner != "" {
		owner, err := v.ownersOwn(ctx, own.Customer, req.BeneficialOwner)
		if err != nil {
			return Grant{}, err
		}
		grant.BeneficialOwner = owner
	}
	if own.Action.needsCustomer() && own.Customer.IsZero() {
		return Grant{}, refuse(CustomerNotLinked, "the user has no Customer")
	}
	return grant, nil
}

// ownersOwn returns the named beneficial owner if Dwolla lists it among those
// of customer. The owner's own resource does not say whose it is.
func (v *Vendor) ownersOwn(ctx context.Context, customer CustomerURL, href string) (BeneficialOwnerURL, error) {
	named, err := ParseBeneficialOwnerURL(v.API, href)
	if err != nil {
		return BeneficialOwnerURL{}, refuse(CustomerMismatch, "beneficial-owner link: %v", err)
	}
	if customer.IsZero() {
		return BeneficialOwnerURL{}, refuse(CustomerMismatch, "the request names beneficial owner %s, and the user has no Customer", named)
	}
	owners, err := v.Dwolla.ListBeneficialOwners(ctx, customer)
	if err != nil {
		return BeneficialOwnerURL{}, fmt.Errorf("listing the Customer's beneficial owners: %w", err)
	}
	if !slices.Contains(owners, named) {
		return BeneficialOwnerURL{}, refuse(CustomerMismatch, "beneficial owner %s is not the Customer's", named)
	}
	return named, nil
}

func refuse(code Code, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Reason: fmt.Sprintf(format, args...)}
}
