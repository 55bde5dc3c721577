package customer

import (
	"context"
	"fmt"
	"slices"

	"dropgate/internal/clienttoken"
)

// Source says which Customer is a user's: [Claim] and [Links] are sources.
type Source interface {
	// Customer returns the user's Customer, clienttoken.ErrNoCustomer, a
	// *clienttoken.Failure, or the error of ctx.
	Customer(ctx context.Context, user clienttoken.User) (clienttoken.CustomerURL, error)
}

// Owners are the beneficial owners at Dwolla.
type Owners interface {
	ListBeneficialOwners(ctx context.Context, customer clienttoken.CustomerURL) ([]clienttoken.BeneficialOwnerURL, error)
}

// Directory is the clienttoken.Directory. All fields are required.
type Directory struct {
	Source Source
	Owners Owners
}

// Customer implements clienttoken.Directory.
func (d *Directory) Customer(ctx context.Context, user clienttoken.User) (clienttoken.Customer, error) {
	url, err := d.Source.Customer(ctx, user)
	if err != nil {
		return clienttoken.Customer{}, err
	}
	return clienttoken.Customer{URL: url}, nil
}

// HasBeneficialOwner implements clienttoken.Directory.
func (d *Directory) HasBeneficialOwner(ctx context.Context, customer clienttoken.CustomerURL, owner clienttoken.BeneficialOwnerURL) (bool, error) {
	owners, err := d.Owners.ListBeneficialOwners(ctx, customer)
	if err != nil {
		return false, fmt.Errorf("asking Dwolla: %w", err)
	}
	return slices.Contains(owners, owner), nil
}
