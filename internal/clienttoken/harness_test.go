package clienttoken_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"dropgate/internal/clienttoken"
)

// The users of these tests. Alice and bob have a Customer each, carol does not.
// Each Customer has one beneficial owner.
var (
	alice = clienttoken.User{ID: "alice"}
	bob   = clienttoken.User{ID: "bob"}
	carol = clienttoken.User{ID: "carol"}
)

const (
	alicesID      = "707177c3-bf15-4e7e-b37c-55c3898d9bf4"
	bobsID        = "fc451a7a-ae30-4404-ab95-e3553fcd733f"
	nobodysID     = "00000000-0000-4000-8000-000000000000"
	alicesOwnerID = "692486f8-29f6-4516-a6a5-c69fd2ce854c"
	bobsOwnerID   = "07d59716-ef22-4fe6-98e8-f3190233dfb8"

	sandboxRoot = "https://api-sandbox.dwolla.com"
)

func customerHref(id string) string { return sandboxRoot + "/customers/" + id }

func ownerHref(id string) string { return sandboxRoot + "/beneficial-owners/" + id }

// words turns typed words into plain ones, nil for none.
func words[T ~string](typed []T) []string {
	var plain []string
	for _, w := range typed {
		plain = append(plain, string(w))
	}
	return plain
}

// mentions fails t unless err says all of words.
func mentions(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one that says %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the error does not say %q: %v", w, err)
		}
	}
}

func api(t rapid.TB, env clienttoken.Environment, baseURL string) clienttoken.API {
	t.Helper()
	a, err := clienttoken.NewAPI(env, baseURL)
	if err != nil {
		t.Fatalf("NewAPI(%q, %q): %v", env, baseURL, err)
	}
	return a
}

func customer(t rapid.TB, id string) clienttoken.CustomerURL {
	t.Helper()
	c, err := clienttoken.ParseCustomerID(api(t, clienttoken.Sandbox, ""), id)
	if err != nil {
		t.Fatalf("ParseCustomerID(%q): %v", id, err)
	}
	return c
}

func owner(t rapid.TB, id string) clienttoken.BeneficialOwnerURL {
	t.Helper()
	o, err := clienttoken.ParseBeneficialOwnerID(api(t, clienttoken.Sandbox, ""), id)
	if err != nil {
		t.Fatalf("ParseBeneficialOwnerID(%q): %v", id, err)
	}
	return o
}

func policy(t rapid.TB, names ...string) clienttoken.FixedPolicy {
	t.Helper()
	p, err := clienttoken.ParsePolicy(names)
	if err != nil {
		t.Fatalf("ParsePolicy(%q): %v", names, err)
	}
	return p
}

// allowedBy returns p's decision for user.
func allowedBy(t rapid.TB, p clienttoken.Policy, user clienttoken.User) clienttoken.Allowed {
	t.Helper()
	allowed, err := p.For(context.Background(), user)
	if err != nil {
		t.Fatalf("the policy for %s: %v", user.ID, err)
	}
	return allowed
}

// noCause stands for a request that enrolls no Customer.
func noCause() clienttoken.Cause { return clienttoken.Cause{} }

// policyOfEverything allows every permitted action.
func policyOfEverything(t rapid.TB) clienttoken.FixedPolicy {
	t.Helper()
	var names []string
	for _, a := range documentedActions {
		if a != "customer.transfers.send" {
			names = append(names, a)
		}
	}
	return policy(t, names...)
}

// directory is a Directory that records its calls.
type directory struct {
	customers map[string]clienttoken.CustomerURL
	statuses  map[clienttoken.CustomerURL]clienttoken.CustomerStatus
	err       error // the answer to every question about a user, where set
	asked     []string

	owners  map[clienttoken.CustomerURL][]clienttoken.BeneficialOwnerURL
	listErr error
	listed  []clienttoken.CustomerURL
}

func (d *directory) Customer(ctx context.Context, user clienttoken.User) (clienttoken.Customer, error) {
	d.asked = append(d.asked, user.ID)
	if d.err != nil {
		return clienttoken.Customer{}, d.err
	}
	if ctx.Err() != nil {
		return clienttoken.Customer{}, ctx.Err()
	}
	c, ok := d.customers[user.ID]
	if !ok {
		return clienttoken.Customer{}, fmt.Errorf("looking in a map: %w", clienttoken.ErrNoCustomer)
	}
	return clienttoken.Customer{URL: c, Status: d.statuses[c]}, nil
}

func (d *directory) HasBeneficialOwner(
	ctx context.Context, customer clienttoken.CustomerURL, owner clienttoken.BeneficialOwnerURL,
) (bool, error) {
	d.listed = append(d.listed, customer)
	if d.listErr != nil {
		return false, d.listErr
	}
	return slices.Contains(d.owners[customer], owner), ctx.Err()
}

// dwolla is a Dwolla that records grants.
type dwolla struct {
	createErr error
	granted   []clienttoken.Grant
}

const tokenValue = "4adF858jPeQ9RnojMHdqSD2KwsvmhO7Ti7cI5woOiBGCpH5krY"

func (d *dwolla) CreateClientToken(ctx context.Context, grant clienttoken.Grant) (clienttoken.Token, error) {
	d.granted = append(d.granted, grant)
	if d.createErr != nil {
		return clienttoken.Token{}, d.createErr
	}
	if ctx.Err() != nil {
		return clienttoken.Token{}, ctx.Err()
	}
	return clienttoken.Token{Secret: clienttoken.NewSecret(tokenValue), DwollaRequestID: "dwolla-request-1"}, nil
}

// world is a Vendor that allows everything. Its directory and its Dwolla know
// alice, bob and carol.
type world struct {
	clienttoken.Vendor

	directory *directory
	dwolla    *dwolla
}

func newWorld(t rapid.TB) *world {
	t.Helper()
	d := &directory{
		customers: map[string]clienttoken.CustomerURL{
			alice.ID: customer(t, alicesID),
			bob.ID:   customer(t, bobsID),
		},
		owners: map[clienttoken.CustomerURL][]clienttoken.BeneficialOwnerURL{
			customer(t, alicesID): {owner(t, nobodysID), owner(t, alicesOwnerID)},
			customer(t, bobsID):   {owner(t, bobsOwnerID)},
		},
	}
	w := &dwolla{}
	return &world{
		Vendor: clienttoken.Vendor{
			API: api(t, clienttoken.Sandbox, ""), Policy: policyOfEverything(t), Directory: d, Dwolla: w,
		},
		directory: d,
		dwolla:    w,
	}
}

// byValue compares Customers and beneficial owners with ==, as the package
// permits.
func byValue() cmp.Option {
	return cmpopts.EquateComparable(clienttoken.CustomerURL{}, clienttoken.BeneficialOwnerURL{})
}

// vends fails t unless req of user makes Dwolla create exactly one token, for
// want, and the user gets it.
func (w *world) vends(t *testing.T, user clienttoken.User, req clienttoken.Request, want clienttoken.Grant) {
	t.Helper()
	w.dwolla.granted = nil
	vended, err := w.Vend(t.Context(), user, req, noCause)
	if err != nil {
		t.Errorf("%s asking %+v: %v", user.ID, req, err)
		return
	}
	if diff := cmp.Diff([]clienttoken.Grant{want}, w.dwolla.granted, byValue()); diff != "" {
		t.Errorf("%s asking %+v: what went to Dwolla (-want +got):\n%s", user.ID, req, diff)
	}
	if vended.Token.Reveal() != tokenValue || vended.Token.DwollaRequestID != "dwolla-request-1" {
		t.Errorf("%s asking %+v: the token is not the one that Dwolla made", user.ID, req)
	}
	if vended.Action != want.Action || vended.Customer != w.directory.customers[user.ID] {
		t.Errorf("%s asking %+v: vended %s for %s", user.ID, req, vended.Action, vended.Customer)
	}
}

// refuses fails t unless req of user is refused with code and makes Dwolla create
// no token. It returns Vend's other result.
func (w *world) refuses(
	t *testing.T, user clienttoken.User, req clienttoken.Request, code clienttoken.Code,
) *clienttoken.Vended {
	t.Helper()
	w.dwolla.granted = nil
	vended, err := w.Vend(t.Context(), user, req, noCause)
	//nolint:errorlint // a Refusal passes up untouched, so it is the error itself
	refusal, ok := err.(*clienttoken.Refusal)
	if !ok {
		t.Errorf("%s asking %+v: got %v, want a refusal with %s", user.ID, req, err, code)
		return vended
	}
	if refusal.Code != code {
		t.Errorf("%s asking %+v: got %v, want %s", user.ID, req, refusal, code)
	}
	if refusal.Reason == "" {
		t.Errorf("%s asking %+v: the refusal gives the log no reason", user.ID, req)
	}
	if len(w.dwolla.granted) != 0 {
		t.Errorf("%s asking %+v: refused, but Dwolla was asked for %+v", user.ID, req, w.dwolla.granted)
	}
	if !vended.Token.IsZero() {
		t.Errorf("%s asking %+v: there is a token beside the refusal", user.ID, req)
	}
	return vended
}
