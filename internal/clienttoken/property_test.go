package clienttoken_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"dropgate/internal/clienttoken"
)

// drawnWorld is a random world: some users with a Customer, some without, some
// owners for each Customer, and a random policy.
type drawnWorld struct {
	*world

	users       []clienttoken.User
	customerIDs []string            // of all users, linked or not
	ownerIDs    map[string][]string // by customer id
	allowed     map[string]bool     // by the documented table, not by the code
}

func drawWorld(t *rapid.T) *drawnWorld {
	d := &drawnWorld{world: newWorld(t), ownerIDs: map[string][]string{}, allowed: map[string]bool{}}
	d.directory.customers = map[string]clienttoken.CustomerURL{}
	d.directory.owners = map[clienttoken.CustomerURL][]clienttoken.BeneficialOwnerURL{}
	id := rapid.StringMatching(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	d.customerIDs = rapid.SliceOfNDistinct(id, 2, 5, rapid.ID).Draw(t, "customer ids")
	for i, customerID := range d.customerIDs {
		user := clienttoken.User{ID: fmt.Sprintf("user-%d", i)}
		d.users = append(d.users, user)
		if rapid.IntRange(0, 3).Draw(t, "linked") == 0 {
			continue
		}
		own := customer(t, customerID)
		d.directory.customers[user.ID] = own
		d.ownerIDs[customerID] = rapid.SliceOfN(id, 0, 2).Draw(t, "owner ids")
		for _, ownerID := range d.ownerIDs[customerID] {
			d.directory.owners[own] = append(d.directory.owners[own], owner(t, ownerID))
		}
	}
	names := slices.Clone(documentedActions)
	for _, c := range documentedComponents {
		names = append(names, c.element)
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		return name == "customer.transfers.send" || name == "dwolla-payin" || name == "dwolla-account-opening"
	})
	drawn := rapid.SliceOfN(rapid.SampledFrom(names), 1, 8).Draw(t, "policy")
	d.Policy = policy(t, drawn...)
	for _, name := range drawn {
		for _, a := range documentedAs(name) {
			d.allowed[a] = true
		}
	}
	return d
}

// drawID draws an id of the world: the user's own most of the time.
func (d *drawnWorld) drawID(t *rapid.T, own []string, others []string, label string) string {
	pool := append(slices.Clone(others), nobodysID)
	if len(own) != 0 && rapid.IntRange(0, 2).Draw(t, label+" is the own") != 0 {
		pool = own
	}
	return rapid.SampledFrom(pool).Draw(t, label+" id")
}

// temper says how a caller writes links.
type temper int

const (
	honest  temper = iota // honest spellings only
	cunning               // tricks among them
)

// drawRequest draws a request of user number i.
func (d *drawnWorld) drawRequest(t *rapid.T, i int, asker temper) clienttoken.Request {
	action := rapid.SampledFrom(documentedActions).Draw(t, "action")
	if rapid.Bool().Draw(t, "allowed action") {
		action = rapid.SampledFrom(words(allowedBy(t, d.Policy, d.users[i]).Actions())).Draw(t, "action")
	}
	if asker == cunning && rapid.IntRange(0, 4).Draw(t, "misspelled") == 0 {
		action = rapid.SampledFrom(misspelled(action)).Draw(t, "action misspelled")
	}
	var owners []string
	for _, ids := range d.ownerIDs {
		owners = append(owners, ids...)
	}
	slices.Sort(owners) // the order of a map must not influence the draw
	ownID := d.customerIDs[i]
	return clienttoken.Request{
		Action: action,
		Customer: drawLink(t, "customers",
			d.drawID(t, []string{ownID}, d.customerIDs, "customer"), asker),
		BeneficialOwner: drawLink(t, "beneficial-owners",
			d.drawID(t, d.ownerIDs[ownID], owners, "owner"), asker),
	}
}

// drawLink draws no link, a spelling of one, or a trick.
func drawLink(t *rapid.T, collection, id string, asker temper) string {
	var all []spelling
	switch kind := rapid.IntRange(0, 3).Draw(t, collection+" kind"); {
	case kind == 0:
		return ""
	case kind == 1 && asker == cunning:
		all = tricks(collection, id)
	default:
		all = spellings("api-sandbox.dwolla.com", collection, id)
	}
	return rapid.SampledFrom(all).Draw(t, collection+" link").url
}

// TestVendPropertyGrantsOnlyOwnAndAllowed checks promises 1 and 2. Every grant
// names the user's own Customer and an allowed action. A refused request never
// reaches Dwolla.
func TestVendPropertyGrantsOnlyOwnAndAllowed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawWorld(t)
		for range 8 {
			i := rapid.IntRange(0, len(d.users)-1).Draw(t, "user")
			req := d.drawRequest(t, i, cunning)
			d.dwolla.granted, d.directory.listed = nil, nil
			vended, err := d.Vend(t.Context(), d.users[i], req, noCause)
			d.checkListed(t, d.directory.customers[d.users[i].ID])
			switch {
			case err == nil && len(d.dwolla.granted) == 1:
				d.checkGrant(t, d.dwolla.granted[0], i, req)
			case err == nil || len(d.dwolla.granted) != 0 || !vended.Token.IsZero():
				t.Fatalf("the answer is %v, and Dwolla was asked for %+v", err, d.dwolla.granted)
			}
		}
	})
}

// checkListed fails t if another Customer's owners were listed.
func (d *drawnWorld) checkListed(t *rapid.T, own clienttoken.CustomerURL) {
	t.Helper()
	for _, listed := range d.directory.listed {
		if listed != own || own.IsZero() {
			t.Fatalf("the owners of %q were asked for, the user's own Customer is %q", listed, own)
		}
	}
}

// checkGrant holds grant, made for req of user number i, to promises 1 and 2.
func (d *drawnWorld) checkGrant(t *rapid.T, grant clienttoken.Grant, i int, req clienttoken.Request) {
	t.Helper()
	own := d.directory.customers[d.users[i].ID]
	if !d.allowed[string(grant.Action)] || grant.Action == clienttoken.ActionCustomerTransfersSend {
		t.Fatalf("a token for %s, which the policy does not allow", grant.Action)
	}
	if string(grant.Action) != req.Action {
		t.Fatalf("asked for %q, got a token for %q", req.Action, grant.Action)
	}
	d.checkGrantedCustomer(t, grant, own, req)
	if grant.BeneficialOwner.IsZero() != (req.BeneficialOwner == "") {
		t.Fatalf("the request names owner %q, the token is for %q", req.BeneficialOwner, grant.BeneficialOwner)
	}
	if !grant.BeneficialOwner.IsZero() && !slices.Contains(d.directory.owners[own], grant.BeneficialOwner) {
		t.Fatalf("a token for owner %s, who is not of the user's own Customer", grant.BeneficialOwner)
	}
}

// checkGrantedCustomer holds the Customer of grant to promise 1.
func (d *drawnWorld) checkGrantedCustomer(t *rapid.T, grant clienttoken.Grant, own clienttoken.CustomerURL, req clienttoken.Request) {
	t.Helper()
	want := own
	if req.Customer == "" && req.BeneficialOwner != "" {
		want = clienttoken.CustomerURL{} // only a request without a relation gets the Customer added
	}
	if grant.Customer != want {
		t.Fatalf("a token for Customer %q, the user's own is %q, the request is %+v", grant.Customer, own, req)
	}
	free := grant.Action == clienttoken.ActionCustomerCreate || grant.Action == clienttoken.ActionBusinessClassificationsRead
	if own.IsZero() && !free {
		t.Fatalf("a token for %s without a Customer", grant.Action)
	}
	if !own.IsZero() && grant.Action == clienttoken.ActionCustomerCreate {
		t.Fatal("a token that creates a second Customer")
	}
	if req.Customer != "" && (own.IsZero() || !strings.Contains(strings.ToLower(req.Customer), own.ID())) {
		t.Fatalf("the request names %q, the token is for %q", req.Customer, own)
	}
}

// TestVendPropertyRefusesOnlyByTheRules is the other side: for requests without
// tricks the outcome is the one of the contract, worked out here by ids alone. A
// Vendor could keep the first property by refusing everything.
func TestVendPropertyRefusesOnlyByTheRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawWorld(t)
		for range 8 {
			i := rapid.IntRange(0, len(d.users)-1).Draw(t, "user")
			req := d.drawRequest(t, i, honest)
			got := ""
			_, err := d.Vend(t.Context(), d.users[i], req, noCause)
			if err != nil {
				got, _, _ = strings.Cut(err.Error(), ":")
			}
			if want := d.outcome(i, req); got != want {
				t.Fatalf("%s asking %+v: %v, want the code %q", d.users[i].ID, req, err, want)
			}
		}
	})
}

// outcome is the contract's answer to an honest request: a code, or nothing
// where a token is vended.
func (d *drawnWorld) outcome(i int, req clienttoken.Request) string {
	ownID := d.customerIDs[i]
	_, linked := d.directory.customers[d.users[i].ID]
	namesOwn := linked && idOf(req.Customer) == ownID
	namesOwnOwner := linked && slices.Contains(d.ownerIDs[ownID], idOf(req.BeneficialOwner))
	switch {
	case !d.allowed[req.Action]:
		return "ActionNotAllowed"
	case req.Customer != "" && !namesOwn:
		return "CustomerMismatch"
	case linked && req.Action == "customer.create":
		return "CustomerAlreadyLinked"
	case req.BeneficialOwner != "" && !namesOwnOwner:
		return "CustomerMismatch"
	case !linked && req.Action != "customer.create" && req.Action != "businessclassifications.read":
		return "CustomerNotLinked"
	}
	return ""
}

// idOf is the id at the end of an honest link.
func idOf(href string) string {
	href = strings.ToLower(strings.TrimSuffix(href, "/"))
	return href[strings.LastIndex(href, "/")+1:]
}
