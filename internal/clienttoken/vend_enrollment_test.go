package clienttoken_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dropgate/internal/clienttoken"
)

// enrollment is an Enrollment that accepts the Customers in theirs. It records
// its calls in order.
type enrollment struct {
	theirs map[string]clienttoken.CustomerURL
	status clienttoken.CustomerStatus
	err    error // of every call, where set
	asked  []string
	// enrolled is called for each enrollment; it may be nil.
	enrolled func(clienttoken.User, clienttoken.CustomerURL)
}

func (e *enrollment) CorrelationID(user clienttoken.User) string { return "dg1." + user.ID }

func (e *enrollment) Expect(_ context.Context, user clienttoken.User) error {
	e.asked = append(e.asked, "expect "+user.ID)
	return e.err
}

func (e *enrollment) Enroll(
	_ context.Context, user clienttoken.User, customer clienttoken.CustomerURL,
) (clienttoken.Customer, error) {
	e.asked = append(e.asked, "enroll "+user.ID+" "+customer.ID())
	if e.err != nil {
		return clienttoken.Customer{}, e.err
	}
	if e.theirs[user.ID] != customer {
		return clienttoken.Customer{}, &clienttoken.Refusal{Code: clienttoken.CustomerMismatch, Reason: "has no correlationId"}
	}
	if e.enrolled != nil {
		e.enrolled(user, customer)
	}
	return clienttoken.Customer{URL: customer, Status: e.status}, nil
}

// enrolling is a world in which carol has created a Customer without a link.
func enrolling(t *testing.T) (*world, *enrollment) {
	t.Helper()
	w := newWorld(t)
	e := &enrollment{theirs: map[string]clienttoken.CustomerURL{carol.ID: customer(t, nobodysID)}}
	w.Enrollment = e
	return w, e
}

func (e *enrollment) wasAsked(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, e.asked); diff != "" {
		t.Errorf("what enrollment was asked (-want +got):\n%s", diff)
	}
	e.asked = nil
}

func TestVendEnrollsANewCustomer(t *testing.T) {
	w, e := enrolling(t)
	for _, s := range spellings("api-sandbox.dwolla.com", "customers", nobodysID) {
		vended, err := w.Vend(t.Context(), carol, clienttoken.Request{Action: "customer.read", Customer: s.url}, noCause)
		if err != nil || !vended.Enrolled || vended.Customer != customer(t, nobodysID) {
			t.Errorf("%s: vended for %s, enrolled %v, error %v", s.url, vended.Customer, vended.Enrolled, err)
		}
		e.wasAsked(t, "enroll carol "+nobodysID)
	}
	for _, grant := range w.dwolla.granted {
		if grant.Customer != customer(t, nobodysID) {
			t.Errorf("a token for %s", grant.Customer)
		}
	}
}

func TestVendRefusesAnUnprovenCustomer(t *testing.T) {
	w, e := enrolling(t)
	for _, id := range []string{alicesID, bobsID, "11111111-1111-4111-8111-111111111111"} {
		vended := w.refuses(t, carol, clienttoken.Request{Action: "customer.read", Customer: customerHref(id)}, clienttoken.CustomerMismatch)
		if vended.Enrolled || !vended.Customer.IsZero() {
			t.Errorf("the audit would see that %s was enrolled", vended.Customer)
		}
		e.wasAsked(t, "enroll carol "+id)
	}
	// Malformed URLs never reach the enrollment.
	for _, s := range tricks("customers", nobodysID) {
		if s.url != "" {
			w.refuses(t, carol, clienttoken.Request{Action: "customer.read", Customer: s.url}, clienttoken.CustomerMismatch)
		}
	}
	e.wasAsked(t)
}

func TestVendEnrollsOnlyUsersWithoutCustomer(t *testing.T) {
	w, e := enrolling(t)
	e.theirs[alice.ID] = customer(t, nobodysID) // alice has created another one
	for _, id := range []string{nobodysID, bobsID} {
		w.refuses(t, alice, clienttoken.Request{Action: "customer.read", Customer: customerHref(id)}, clienttoken.CustomerMismatch)
	}
	w.vends(t, alice, clienttoken.Request{Action: "customer.read", Customer: customerHref(alicesID)},
		clienttoken.Grant{Action: clienttoken.ActionCustomerRead, Customer: customer(t, alicesID)})
	e.wasAsked(t)
}

func TestVendEnrollsOnlyForAllowedActions(t *testing.T) {
	w, e := enrolling(t)
	w.Policy = policy(t, "customer.create")
	w.refuses(t, carol, clienttoken.Request{Action: "customer.read", Customer: customerHref(nobodysID)}, clienttoken.ActionNotAllowed)
	e.wasAsked(t)
}

func TestVendExpectsTheCustomerBeforeCreation(t *testing.T) {
	w, e := enrolling(t)
	w.vends(t, carol, clienttoken.Request{Action: "customer.create"}, clienttoken.Grant{Action: clienttoken.ActionCustomerCreate})
	e.wasAsked(t, "expect carol")
	w.refuses(t, alice, clienttoken.Request{Action: "customer.create"}, clienttoken.CustomerAlreadyLinked)
	w.refuses(t, carol, clienttoken.Request{Action: "customer.read"}, clienttoken.CustomerNotLinked)
	e.wasAsked(t)

	for name, want := range ends() {
		t.Run(name, func(t *testing.T) {
			w, e := enrolling(t)
			e.err = want
			_, err := w.Vend(t.Context(), carol, clienttoken.Request{Action: "customer.create"}, noCause)
			passes(t, err, want)
			_, err = w.Vend(t.Context(), carol, clienttoken.Request{Action: "customer.read", Customer: customerHref(nobodysID)}, noCause)
			passes(t, err, want)
			if len(w.dwolla.granted) != 0 {
				t.Errorf("Dwolla was asked for %+v", w.dwolla.granted)
			}
		})
	}
}

// The request enrolls a Customer, so it cannot create another one.
func TestVendRefusesCreateForJustEnrolledCustomer(t *testing.T) {
	w, _ := enrolling(t)
	vended := w.refuses(t, carol, clienttoken.Request{Action: "customer.create", Customer: customerHref(nobodysID)}, clienttoken.CustomerAlreadyLinked)
	if !vended.Enrolled || vended.Customer != customer(t, nobodysID) {
		t.Errorf("the audit would not see that %s was enrolled", nobodysID)
	}
}

func TestVendRefusesAnInactiveCustomer(t *testing.T) {
	for status, inactive := range map[clienttoken.CustomerStatus]bool{
		"suspended": true, "deactivated": true, "": false, "verified": false, "unverified": false, "document": false,
		"retry": false, "kba": false, "Suspended": false, "of a later version": false,
	} {
		w := newWorld(t)
		w.directory.statuses = map[clienttoken.CustomerURL]clienttoken.CustomerStatus{customer(t, alicesID): status}
		for _, action := range allowedBy(t, w.Policy, alice).Actions() {
			req := clienttoken.Request{Action: string(action)}
			_, err := w.Vend(t.Context(), alice, req, noCause)
			refusal, _ := errors.AsType[*clienttoken.Refusal](err)
			if got := refusal != nil && refusal.Code == clienttoken.CustomerInactive; got != inactive {
				t.Errorf("%s of a Customer that is %q: %v", action, status, err)
			}
		}
		if inactive {
			w.refuses(t, alice, clienttoken.Request{Action: "customer.read", Customer: customerHref(bobsID)}, clienttoken.CustomerMismatch)
			w.refuses(t, alice, clienttoken.Request{Action: "customer.read", BeneficialOwner: ownerHref(alicesOwnerID)}, clienttoken.CustomerInactive)
			if len(w.directory.listed) != 0 {
				t.Error("Dwolla was asked for the owners of an inactive Customer")
			}
		}
	}
	w, e := enrolling(t)
	e.status = clienttoken.StatusSuspended
	w.refuses(t, carol, clienttoken.Request{Action: "customer.read", Customer: customerHref(nobodysID)}, clienttoken.CustomerInactive)
}

func TestLinkCustomerNeedsOwnOrProvenCustomer(t *testing.T) {
	w, e := enrolling(t)
	for user, id := range map[string]string{alice.ID: alicesID, carol.ID: nobodysID} {
		for range 2 {
			got, err := w.LinkCustomer(t.Context(), clienttoken.User{ID: user}, customerHref(id), noCause)
			if err != nil || got.URL != customer(t, id) {
				t.Errorf("%s: %v, error %v", user, got.URL, err)
			}
		}
	}
	e.wasAsked(t, "enroll carol "+nobodysID, "enroll carol "+nobodysID)
	for user, href := range map[string]string{
		alice.ID: customerHref(bobsID), bob.ID: customerHref(nobodysID), carol.ID: customerHref(alicesID), "dave": "https://example.com/customers/" + nobodysID,
	} {
		_, err := w.LinkCustomer(t.Context(), clienttoken.User{ID: user}, href, noCause)
		if refusal, ok := errors.AsType[*clienttoken.Refusal](err); !ok || refusal.Code != clienttoken.CustomerMismatch {
			t.Errorf("%s links %s: %v", user, href, err)
		}
	}
	if len(w.dwolla.granted) != 0 {
		t.Error("a link made a token")
	}
}

// Dwolla's read API may lag behind its webhooks.
func TestVendChecksDirectoryAfterEnrollment(t *testing.T) {
	w, e := enrolling(t)
	e.status = clienttoken.StatusVerified
	e.enrolled = func(user clienttoken.User, customer clienttoken.CustomerURL) {
		w.directory.customers[user.ID] = customer
		w.directory.statuses = map[clienttoken.CustomerURL]clienttoken.CustomerStatus{customer: clienttoken.StatusSuspended}
	}
	vended := w.refuses(t, carol, clienttoken.Request{Action: "customer.read", Customer: customerHref(nobodysID)}, clienttoken.CustomerInactive)
	if !vended.Enrolled {
		t.Error("the audit would not see that she was enrolled")
	}

	w, e = enrolling(t)
	e.enrolled = func(clienttoken.User, clienttoken.CustomerURL) { w.directory.err = context.DeadlineExceeded }
	vended, err := w.Vend(t.Context(), carol, clienttoken.Request{Action: "customer.read", Customer: customerHref(nobodysID)}, noCause)
	passes(t, err, context.DeadlineExceeded)
	if !vended.Enrolled || vended.Customer != customer(t, nobodysID) {
		t.Error("the audit would not see that she was enrolled")
	}
}
