package customer

import (
	"context"
	"fmt"
	"slices"
	"time"

	"dropgate/internal/clienttoken"
)

// OwnerLister lists beneficial owners at Dwolla.
type OwnerLister interface {
	// ListBeneficialOwners lists the beneficial owners of a Customer. An error is a
	// *clienttoken.Failure or that of ctx.
	ListBeneficialOwners(ctx context.Context, customer clienttoken.CustomerURL) ([]clienttoken.BeneficialOwnerURL, error)
}

// ownerLists caches each Customer's list of beneficial owners. An owner never moves to
// another Customer, so a cached "yes" holds until the owner is deleted, and then
// Dwolla refuses the token. A drop-in component may add an owner at any moment, so
// "no" needs a list fetched after the question.
type ownerLists struct {
	dwolla   OwnerLister
	lists    *cache[[]clienttoken.BeneficialOwnerURL]
	notifier *ChangeNotifier
}

// ownersLife is the lifetime of a list. It limits how long a deleted owner is found.
const ownersLife = time.Minute

func newOwnerLists(dwolla OwnerLister, notifier *ChangeNotifier) *ownerLists {
	return &ownerLists{dwolla: dwolla, notifier: notifier, lists: newCache[[]clienttoken.BeneficialOwnerURL](ownersLife)}
}

// have reports whether customer has the owner. If a cached list lacks it, have fetches
// a new list.
func (o *ownerLists) have(ctx context.Context, customer clienttoken.CustomerURL, owner clienttoken.BeneficialOwnerURL) (bool, error) {
	asked := false // by this call, not by an earlier one it joined
	list := func() ([]clienttoken.BeneficialOwnerURL, error) {
		return o.lists.get(ctx, customer.ID(), func(ctx context.Context) ([]clienttoken.BeneficialOwnerURL, error) {
			asked = true
			owners, err := o.dwolla.ListBeneficialOwners(ctx, customer)
			if err == nil {
				o.notifier.owners(customer, owners)
			}
			return owners, err
		})
	}
	owners, err := list()
	if err == nil && !slices.Contains(owners, owner) && !asked {
		o.lists.drop(customer.ID())
		owners, err = list()
	}
	if err != nil {
		return false, fmt.Errorf("asking Dwolla: %w", err)
	}
	return slices.Contains(owners, owner), nil
}
