package clienttoken_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dropgate/internal/clienttoken"
)

func TestVendRefusesAnotherUsersCustomer(t *testing.T) {
	w := newWorld(t)
	named := tricks("customers", alicesID) // alice's own id, anywhere but at Dwolla's sandbox
	named = append(named, tricks("customers", bobsID)...)
	for _, id := range []string{bobsID, nobodysID} {
		named = append(named, spellings("api-sandbox.dwolla.com", "customers", id)...)
	}
	named = append(named, spellings("api.dwolla.com", "customers", alicesID)...)
	named = append(named, spellings("api-sandbox.dwolla.com", "beneficial-owners", alicesOwnerID)...)
	for _, s := range named {
		if s.url == "" { // an empty link was not named
			continue
		}
		for _, action := range []string{"customer.read", "customer.create", "businessclassifications.read"} {
			vended := w.refuses(t, alice, clienttoken.Request{Action: action, Customer: s.url}, clienttoken.CustomerMismatch)
			if string(vended.Action) != action || vended.Customer != customer(t, alicesID) {
				t.Errorf("%s: the audit would see %s by %s", s.name, vended.Action, vended.Customer)
			}
		}
	}
	if len(w.directory.listed) != 0 {
		t.Errorf("Dwolla was asked for the owners of %v", w.directory.listed)
	}
}

func TestVendRefusesCustomerOfUserWithoutOne(t *testing.T) {
	w := newWorld(t)
	for _, a := range allowedBy(t, w.Policy, carol).Actions() {
		for _, id := range []string{alicesID, nobodysID} {
			w.refuses(t, carol, clienttoken.Request{Action: string(a), Customer: customerHref(id)}, clienttoken.CustomerMismatch)
		}
		w.refuses(t, carol, clienttoken.Request{Action: string(a), Customer: "x"}, clienttoken.CustomerMismatch)
	}
}

func TestVendSendsTheCanonicalCustomer(t *testing.T) {
	w := newWorld(t)
	for _, s := range spellings("api-sandbox.dwolla.com", "customers", alicesID) {
		t.Run(s.name, func(t *testing.T) {
			w.vends(t, alice, clienttoken.Request{Action: "customer.update", Customer: s.url}, clienttoken.Grant{
				Action: clienttoken.ActionCustomerUpdate, Customer: customer(t, alicesID),
			})
			if got := w.dwolla.granted[0].Customer.String(); got != customerHref(alicesID) {
				t.Errorf("Dwolla was sent %q", got)
			}
		})
	}
}

func TestVendSendsTheRootOfTheConfiguredAPI(t *testing.T) {
	w := newWorld(t)
	w.API = api(t, clienttoken.Sandbox, "http://127.0.0.1:17188")
	own, err := clienttoken.ParseCustomerID(w.API, alicesID)
	if err != nil {
		t.Fatal(err)
	}
	w.directory.customers[alice.ID] = own
	for _, root := range []string{"127.0.0.1:17188", "api-sandbox.dwolla.com"} { // a drop-in writes Dwolla's public host
		for _, s := range spellings(root, "customers", alicesID) {
			w.vends(t, alice, clienttoken.Request{Action: "customer.read", Customer: s.url}, clienttoken.Grant{
				Action: clienttoken.ActionCustomerRead, Customer: own,
			})
		}
	}
}

func TestVendAddsTheSessionsCustomer(t *testing.T) {
	w := newWorld(t)
	for user, id := range map[string]string{alice.ID: alicesID, bob.ID: bobsID} {
		for _, a := range allowedBy(t, w.Policy, alice).Actions() {
			if a != clienttoken.ActionCustomerCreate {
				w.vends(t, clienttoken.User{ID: user}, clienttoken.Request{Action: string(a)}, clienttoken.Grant{
					Action: a, Customer: customer(t, id),
				})
			}
		}
	}
}

func TestVendCreatesWithoutLinks(t *testing.T) {
	w := newWorld(t)
	w.vends(t, carol, clienttoken.Request{Action: "customer.create"}, clienttoken.Grant{
		Action: clienttoken.ActionCustomerCreate,
	})
}

func TestVendRefusesCreateForUserWithCustomer(t *testing.T) {
	w := newWorld(t)
	for _, named := range []string{"", customerHref(alicesID)} {
		vended := w.refuses(t, alice, clienttoken.Request{Action: "customer.create", Customer: named},
			clienttoken.CustomerAlreadyLinked)
		if vended.Action != clienttoken.ActionCustomerCreate || vended.Customer != customer(t, alicesID) {
			t.Errorf("the audit would see %s by %s", vended.Action, vended.Customer)
		}
	}
}

func TestVendRefusesUserWithoutNeededCustomer(t *testing.T) {
	w := newWorld(t)
	for _, a := range allowedBy(t, w.Policy, carol).Actions() {
		if a == clienttoken.ActionCustomerCreate || a == clienttoken.ActionBusinessClassificationsRead {
			continue
		}
		vended := w.refuses(t, carol, clienttoken.Request{Action: string(a)}, clienttoken.CustomerNotLinked)
		if vended.Action != a || !vended.Customer.IsZero() {
			t.Errorf("the audit would see %s by %s", vended.Action, vended.Customer)
		}
	}
}

func TestVendReadsClassificationsWithoutCustomerToo(t *testing.T) {
	w := newWorld(t)
	req := clienttoken.Request{Action: "businessclassifications.read"}
	w.vends(t, carol, req, clienttoken.Grant{Action: clienttoken.ActionBusinessClassificationsRead})
	w.vends(t, alice, req, clienttoken.Grant{
		Action: clienttoken.ActionBusinessClassificationsRead, Customer: customer(t, alicesID),
	})
}

func TestVendSendsEitherDeleteSpellingUnchanged(t *testing.T) {
	w := newWorld(t)
	w.Policy = policy(t, "beneficialowners.delete")
	for _, s := range []string{"beneficialowners.delete", "beneficialowner.delete"} {
		w.vends(t, alice, clienttoken.Request{Action: s}, clienttoken.Grant{
			Action: clienttoken.Action(s), Customer: customer(t, alicesID),
		})
	}
}

func TestVendRefusesDisallowedActions(t *testing.T) {
	for _, user := range []clienttoken.User{alice, carol} {
		for _, a := range clienttoken.Actions() {
			w := newWorld(t)
			w.Policy = policy(t, "customer.documents.read")
			if allowedBy(t, w.Policy, user).Allows(a) {
				continue
			}
			req := clienttoken.Request{
				Action: string(a), Customer: customerHref(alicesID), BeneficialOwner: ownerHref(alicesOwnerID),
			}
			vended := w.refuses(t, user, req, clienttoken.ActionNotAllowed)
			if vended.Action != a || !vended.Customer.IsZero() {
				t.Errorf("the audit would see %s by %s", vended.Action, vended.Customer)
			}
			if len(w.directory.asked)+len(w.directory.listed) != 0 {
				t.Errorf("%s: the world was asked before the policy", a)
			}
		}
	}
}

func TestVendAllowsNothingByDefault(t *testing.T) {
	w := newWorld(t)
	w.Policy = clienttoken.FixedPolicy{}
	for _, a := range clienttoken.Actions() {
		w.refuses(t, alice, clienttoken.Request{Action: string(a)}, clienttoken.ActionNotAllowed)
	}
}

func TestVendNeverMovesMoney(t *testing.T) {
	w := newWorld(t)
	w.refuses(t, alice, clienttoken.Request{Action: "customer.transfers.send"}, clienttoken.ActionNotAllowed)
}

func TestVendRefusesUnknownActions(t *testing.T) {
	w := newWorld(t)
	unknown := []string{"", "customer.delete", "dwolla-customer-update", strings.Repeat("a", 1<<16)}
	for _, a := range documentedActions {
		unknown = append(unknown, misspelled(a)...)
	}
	for _, s := range unknown {
		vended := w.refuses(t, alice, clienttoken.Request{Action: s}, clienttoken.ActionNotAllowed)
		if vended.Action != "" {
			t.Errorf("the audit would see the action %q", vended.Action)
		}
	}
	if len(w.directory.asked) != 0 {
		t.Error("the directory was asked for an unknown action")
	}
}

// ends are errors that Vend must return as they are.
func ends() map[string]error {
	return map[string]error{
		"unavailable": &clienttoken.Failure{
			Code: clienttoken.Unavailable, RetryAfter: 3 * time.Second, Err: errors.New("down"),
		},
		"timeout": &clienttoken.Failure{Code: clienttoken.UpstreamTimeout, Err: context.DeadlineExceeded},
		"upstream": &clienttoken.Failure{
			Code: clienttoken.UpstreamError, DwollaRequestID: "id", Err: errors.New("nonsense"),
		},
		"canceled": context.Canceled,
		"deadline": context.DeadlineExceeded,
	}
}

// passes fails t unless got is want with at most some words around it, and no
// refusal.
func passes(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("got %v, want %v in it", got, want)
	}
	failure, isFailure := errors.AsType[*clienttoken.Failure](got)
	wanted, wantFailure := errors.AsType[*clienttoken.Failure](want)
	if isFailure != wantFailure || failure != wanted {
		t.Errorf("the Failure in the error is %v, want %v", failure, wanted)
	}
	if refusal, ok := errors.AsType[*clienttoken.Refusal](got); ok {
		t.Errorf("an outage became a refusal: %v", refusal)
	}
}

func TestVendReturnsDirectoryFailures(t *testing.T) {
	for name, want := range ends() {
		t.Run(name, func(t *testing.T) {
			for _, a := range allowedBy(t, policyOfEverything(t), alice).Actions() {
				w := newWorld(t)
				w.directory.err = want
				req := clienttoken.Request{
					Action: string(a), Customer: customerHref(alicesID), BeneficialOwner: ownerHref(alicesOwnerID),
				}
				vended, err := w.Vend(t.Context(), alice, req, noCause)
				passes(t, err, want)
				if len(w.dwolla.granted)+len(w.directory.listed) != 0 {
					t.Errorf("%s: Dwolla was called although the user's Customer is not known", a)
				}
				if vended.Action != a || !vended.Customer.IsZero() || !vended.Token.IsZero() {
					t.Errorf("the audit would see %s by %s", vended.Action, vended.Customer)
				}
			}
		})
	}
}

func TestVendReturnsDwollaFailures(t *testing.T) {
	for name, want := range ends() {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.dwolla.createErr = want
			vended, err := w.Vend(t.Context(), alice, clienttoken.Request{Action: "customer.read"}, noCause)
			passes(t, err, want)
			if len(w.dwolla.granted) != 1 {
				t.Errorf("Dwolla was called %d times; to try again is the client's to decide", len(w.dwolla.granted))
			}
			if vended.Action != clienttoken.ActionCustomerRead || vended.Customer != customer(t, alicesID) || !vended.Token.IsZero() {
				t.Errorf("the audit would see %s by %s", vended.Action, vended.Customer)
			}
		})
	}
}

func TestVendReturnsCancellation(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := newWorld(t)
	_, err := w.Vend(ctx, alice, clienttoken.Request{Action: "customer.read"}, noCause)
	passes(t, err, context.Canceled)
	if len(w.dwolla.granted) != 0 {
		t.Error("Dwolla was called for a caller who went away")
	}
}

// sloppyDirectory returns a Customer beside its error.
type sloppyDirectory struct {
	clienttoken.Directory

	customer clienttoken.CustomerURL
	err      error
}

func (d sloppyDirectory) Customer(context.Context, clienttoken.User) (clienttoken.Customer, error) {
	return clienttoken.Customer{URL: d.customer}, d.err
}

func TestVendIgnoresCustomerBesideAnError(t *testing.T) {
	w := newWorld(t)
	w.Directory = sloppyDirectory{customer: customer(t, bobsID), err: clienttoken.ErrNoCustomer}
	vended := w.refuses(t, carol, clienttoken.Request{Action: "customer.read"}, clienttoken.CustomerNotLinked)
	if !vended.Customer.IsZero() {
		t.Errorf("the audit would see %s", vended.Customer)
	}
	w.refuses(t, carol, clienttoken.Request{Action: "customer.read", Customer: customerHref(bobsID)}, clienttoken.CustomerMismatch)
	w.vends(t, carol, clienttoken.Request{Action: "customer.create"}, clienttoken.Grant{Action: clienttoken.ActionCustomerCreate})

	w.Directory = sloppyDirectory{customer: customer(t, bobsID), err: context.DeadlineExceeded}
	vended, err := w.Vend(t.Context(), carol, clienttoken.Request{Action: "customer.read"}, noCause)
	passes(t, err, context.DeadlineExceeded)
	if !vended.Customer.IsZero() {
		t.Errorf("the audit would see %s", vended.Customer)
	}
}

func TestVendLooksUpOnlyTheSignedInUser(t *testing.T) {
	w := newWorld(t)
	w.vends(t, bob, clienttoken.Request{Action: "customer.read"}, clienttoken.Grant{
		Action: clienttoken.ActionCustomerRead, Customer: customer(t, bobsID),
	})
	w.refuses(t, bob, clienttoken.Request{Action: "customer.read", Customer: customerHref(alicesID)}, clienttoken.CustomerMismatch)
	if diff := cmp.Diff([]string{"bob", "bob"}, w.directory.asked); diff != "" {
		t.Errorf("who was asked for (-want +got):\n%s", diff)
	}
}

func TestErrorsSayTheirCode(t *testing.T) {
	cause := errors.New("connection refused")
	for want, err := range map[string]error{
		"CustomerMismatch: why":           &clienttoken.Refusal{Code: clienttoken.CustomerMismatch, Reason: "why"},
		"Unavailable: connection refused": &clienttoken.Failure{Code: clienttoken.Unavailable, Err: cause},
		"UpstreamTimeout":                 &clienttoken.Failure{Code: clienttoken.UpstreamTimeout}, // without a cause, no panic
	} {
		if err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
	}
	if !errors.Is(&clienttoken.Failure{Err: cause}, cause) {
		t.Error("a Failure does not unwrap to its cause")
	}
}
