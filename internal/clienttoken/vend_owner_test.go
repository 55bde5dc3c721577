package clienttoken_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dropgate/internal/clienttoken"
)

// TestVendSendsExactlyTheNamedRelations, each in its canonical form.
func TestVendSendsExactlyTheNamedRelations(t *testing.T) {
	w := newWorld(t)
	for named, sent := range map[string]clienttoken.CustomerURL{
		"": {}, customerHref(alicesID): customer(t, alicesID),
	} {
		want := clienttoken.Grant{
			Action:          clienttoken.ActionBeneficialOwnerDocumentsCreate,
			Customer:        sent,
			BeneficialOwner: owner(t, alicesOwnerID),
		}
		for _, s := range spellings("api-sandbox.dwolla.com", "beneficial-owners", alicesOwnerID) {
			w.vends(t, alice, clienttoken.Request{
				Action: "beneficialowner.documents.create", Customer: named, BeneficialOwner: s.url,
			}, want)
		}
	}
	for _, c := range w.directory.listed {
		if c != customer(t, alicesID) {
			t.Errorf("Dwolla was asked for the owners of %s", c)
		}
	}
}

func TestVendRefusesAForeignBeneficialOwner(t *testing.T) {
	w := newWorld(t)
	unknown := "11111111-1111-4111-8111-111111111111"
	for _, a := range []string{"beneficialowner.documents.create", "beneficialowners.update", "customer.read"} {
		for _, id := range []string{bobsOwnerID, unknown, alicesID} {
			for _, s := range spellings("api-sandbox.dwolla.com", "beneficial-owners", id) {
				vended := w.refuses(t, alice, clienttoken.Request{Action: a, BeneficialOwner: s.url}, clienttoken.CustomerMismatch)
				if string(vended.Action) != a || vended.Customer != customer(t, alicesID) {
					t.Errorf("the audit would see %s by %s", vended.Action, vended.Customer)
				}
			}
		}
	}
	w.directory.owners = nil // a Customer without any owner
	w.refuses(t, alice, clienttoken.Request{
		Action: "beneficialowners.read", BeneficialOwner: ownerHref(alicesOwnerID),
	}, clienttoken.CustomerMismatch)
}

func TestVendRefusesBadOwnerURLBeforeDwolla(t *testing.T) {
	w := newWorld(t)
	named := tricks("beneficial-owners", alicesOwnerID)
	named = append(named, spellings("api-sandbox.dwolla.com", "customers", alicesOwnerID)...)
	named = append(named, spellings("api.dwolla.com", "beneficial-owners", alicesOwnerID)...)
	for _, s := range named {
		if s.url != "" { // an empty link was not named
			w.refuses(t, alice, clienttoken.Request{
				Action: "beneficialowners.read", BeneficialOwner: s.url,
			}, clienttoken.CustomerMismatch)
		}
	}
	if len(w.directory.listed) != 0 {
		t.Errorf("Dwolla was asked for owners %d times", len(w.directory.listed))
	}
}

func TestVendRefusesOwnerWithoutCustomer(t *testing.T) {
	w := newWorld(t)
	w.directory.owners[clienttoken.CustomerURL{}] = []clienttoken.BeneficialOwnerURL{owner(t, alicesOwnerID)}
	for _, a := range allowedBy(t, w.Policy, carol).Actions() {
		w.refuses(t, carol, clienttoken.Request{
			Action: string(a), BeneficialOwner: ownerHref(alicesOwnerID),
		}, clienttoken.CustomerMismatch)
	}
	if len(w.directory.listed) != 0 {
		t.Errorf("Dwolla was asked for owners without a Customer")
	}
}

func TestVendRefusesCreateWithOwnerAndCustomer(t *testing.T) {
	w := newWorld(t)
	w.refuses(t, alice, clienttoken.Request{
		Action: "customer.create", BeneficialOwner: ownerHref(alicesOwnerID),
	}, clienttoken.CustomerAlreadyLinked)
}

func TestVendChecksCustomerBeforeOwners(t *testing.T) {
	w := newWorld(t)
	w.refuses(t, alice, clienttoken.Request{
		Action: "beneficialowners.read", Customer: customerHref(bobsID), BeneficialOwner: ownerHref(bobsOwnerID),
	}, clienttoken.CustomerMismatch)
	if len(w.directory.listed) != 0 {
		t.Errorf("Dwolla was asked for the owners of %v", w.directory.listed)
	}
}

func TestVendListsOwnersOnlyIfNamed(t *testing.T) {
	w := newWorld(t)
	w.vends(t, alice, clienttoken.Request{Action: "beneficialowners.read"}, clienttoken.Grant{
		Action: clienttoken.ActionBeneficialOwnersRead, Customer: customer(t, alicesID),
	})
	if len(w.directory.listed) != 0 {
		t.Errorf("Dwolla was asked for owners, although the request names none")
	}
	w.vends(t, alice, clienttoken.Request{
		Action: "beneficialowners.update", BeneficialOwner: ownerHref(alicesOwnerID),
	}, clienttoken.Grant{
		Action: clienttoken.ActionBeneficialOwnersUpdate, BeneficialOwner: owner(t, alicesOwnerID),
	})
	if diff := cmp.Diff([]clienttoken.CustomerURL{customer(t, alicesID)}, w.directory.listed, byValue()); diff != "" {
		t.Errorf("whose owners were asked for (-want +got):\n%s", diff)
	}
}

func TestVendReturnsOwnerListFailures(t *testing.T) {
	req := clienttoken.Request{Action: "beneficialowners.read", BeneficialOwner: ownerHref(alicesOwnerID)}
	for name, want := range ends() {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.directory.listErr = want
			vended, err := w.Vend(t.Context(), alice, req, noCause)
			passes(t, err, want)
			if len(w.dwolla.granted) != 0 {
				t.Errorf("Dwolla was asked for %+v for an owner of an unknown Customer", w.dwolla.granted)
			}
			if vended.Action != clienttoken.ActionBeneficialOwnersRead || vended.Customer != customer(t, alicesID) {
				t.Errorf("the audit would see %s by %s", vended.Action, vended.Customer)
			}
		})
	}
}

// leavingDirectory cancels the request while it lists the owners.
type leavingDirectory struct {
	*directory

	leave context.CancelFunc
}

func (d leavingDirectory) HasBeneficialOwner(
	ctx context.Context, customer clienttoken.CustomerURL, owner clienttoken.BeneficialOwnerURL,
) (bool, error) {
	d.leave()
	return d.directory.HasBeneficialOwner(ctx, customer, owner)
}

func TestVendReturnsLateCancellation(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w := newWorld(t)
	w.Directory = leavingDirectory{w.directory, cancel}
	_, err := w.Vend(ctx, alice, clienttoken.Request{Action: "beneficialowners.read", BeneficialOwner: ownerHref(alicesOwnerID)}, noCause)
	passes(t, err, context.Canceled)
	if len(w.dwolla.granted) != 0 {
		t.Error("Dwolla was asked for a token for a caller who went away")
	}
}
