package customer

import (
	"context"
	"fmt"
	"slices"
	"time"

	"dropgate/internal/clienttoken"
)

// OwnerLister lists the beneficial owners at Dwolla.
type OwnerLister interface {
	// ListBeneficialOwners lists the beneficial owners of a Customer. An error
	// that is not the end of ctx is a *clienttoken.Failure.
	ListBeneficialOwners(ctx context.Context, customer clienttoken.CustomerURL) ([]clienttoken.BeneficialOwnerURL, error)
}

// ownerLists knows whose beneficial owner is whose. It remembers each
// Customer's list, because an owner never moves to another Customer: "yes"
// stays true until the owner is deleted, and then Dwolla refuses the token.
// "No" may change at any moment, when a drop-in component creates an owner, so
// it is said only of a list that is newer than the question.
type ownerLists struct {
	dwolla   OwnerLister
	lists    *cache[[]clienttoken.BeneficialOwnerURL]
	notifier *ChangeNotifier
}

// ownersLife is for how long a list is remembered. It is short for the sake of
// deleted owners only.
const ownersLife = time.Minute

func newOwnerLists(dwolla OwnerLister, notifier *ChangeNotifier) *ownerLists {
	return &ownerLists{dwolla: dwolla, notifier: notifier, lists: newCache[[]clienttoken.BeneficialOwnerURL](ownersLife)}
}

// have reports whether owner is one of customer's. It asks Dwolla when nothing
// is remembered, and once more when owner is not in what was.
func (o *ownerLists) have(ctx context.Context, customer clienttoken.CustomerURL, owner clienttoken.BeneficialOwnerURL) (bool, error) {
	asked := false // by this very call, and not by one that began before it
	list := func() ([]clienttoken.BeneficialOwnerURL, error) {
		return o.lists.get(ctx, customer.ID(), func(ctx context.Context) ([]clienttoken.BeneficialOwnerURL, error) {
			asked = true
			owners, err := o.dwolla.ListBeneficialOwners(ctx, customer)
			if err == nil {
				o.notifier.Owners(customer, owners)
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
