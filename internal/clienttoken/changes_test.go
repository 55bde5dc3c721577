package clienttoken_test

import (
	"errors"
	"slices"
	"testing"

	"dropgate/internal/clienttoken"
)

// changes is a Changes and its Watch. It has learnt the same about everyone.
type changes struct {
	learnt        clienttoken.Learnt
	watched       []string // user ids
	own           clienttoken.CustomerURL
	owner         clienttoken.BeneficialOwnerURL
	restarts, end int
}

func (c *changes) Watch(userID string) clienttoken.Watch {
	c.watched = append(c.watched, userID)
	return c
}

func (c *changes) Restart() { c.restarts++ }

func (c *changes) End() { c.end++ }

func (c *changes) Learnt(own clienttoken.CustomerURL, owner clienttoken.BeneficialOwnerURL) clienttoken.Learnt {
	c.own, c.owner = own, owner
	return c.learnt
}

// watchedOnly fails t unless there was one watch, of this user and Customer, and it
// has ended.
func (c *changes) watchedOnly(t *testing.T, user clienttoken.User, own clienttoken.CustomerURL) {
	t.Helper()
	if c.end != 1 || !slices.Equal(c.watched, []string{user.ID}) || c.own != own {
		t.Errorf("%d ends, watched %q, asked about %s", c.end, c.watched, c.own)
	}
}

// codeOf returns the code of a refusal, or nothing for success. Other errors fail t.
func codeOf(t *testing.T, err error) clienttoken.Code {
	t.Helper()
	if err == nil {
		return ""
	}
	refusal, ok := errors.AsType[*clienttoken.Refusal](err)
	if !ok {
		t.Fatal(err)
	}
	return refusal.Code
}

// TestVendDropsTokensAfterChanges: Vend sees the change after Dwolla has made the
// token.
func TestVendDropsTokensAfterChanges(t *testing.T) {
	read := clienttoken.Request{Action: "customer.read"}
	create := clienttoken.Request{Action: "customer.create"}
	classify := clienttoken.Request{Action: "businessclassifications.read"}
	owners := clienttoken.Request{Action: "beneficialowners.update", Customer: customerHref(alicesID), BeneficialOwner: ownerHref(alicesOwnerID)}
	for _, row := range []struct {
		name    string
		user    clienttoken.User
		request clienttoken.Request
		learnt  clienttoken.Learnt
		code    clienttoken.Code // empty: the token is handed out
	}{
		{"nothing", alice, read, clienttoken.Learnt{}, ""},
		{"suspended", alice, read, clienttoken.Learnt{Status: clienttoken.StatusSuspended}, clienttoken.CustomerInactive},
		{"deactivated", alice, owners, clienttoken.Learnt{Status: clienttoken.StatusDeactivated}, clienttoken.CustomerInactive},
		{"verified", alice, read, clienttoken.Learnt{Status: clienttoken.StatusVerified}, ""},
		{"another link", alice, read, clienttoken.Learnt{Moved: true}, clienttoken.CustomerMismatch},
		{"a first link", carol, create, clienttoken.Learnt{Moved: true}, clienttoken.CustomerAlreadyLinked},
		{"a first link, harmless", carol, classify, clienttoken.Learnt{Moved: true}, ""},
		{"owner removed", alice, owners, clienttoken.Learnt{OwnerGone: true}, clienttoken.CustomerMismatch},
	} {
		t.Run(row.name, func(t *testing.T) {
			w, c := newWorld(t), &changes{learnt: row.learnt}
			w.Changes = c
			vended, err := w.Vend(t.Context(), row.user, row.request, noCause)
			if code := codeOf(t, err); code != row.code || vended.Token.IsZero() != (row.code != "") {
				t.Errorf("code %q, a token: %v; want code %q", code, !vended.Token.IsZero(), row.code)
			}
			if len(w.dwolla.granted) != 1 {
				t.Errorf("Dwolla made %d tokens", len(w.dwolla.granted))
			}
			c.watchedOnly(t, row.user, w.directory.customers[row.user.ID])
			if named := row.request.BeneficialOwner != ""; named != (c.owner == owner(t, alicesOwnerID)) {
				t.Errorf("asked about the owner %s", c.owner)
			}
		})
	}
}

// TestLinkReportsAChangedLink: the page must not believe in a link that an
// operator has just removed.
func TestLinkReportsAChangedLink(t *testing.T) {
	w, c := newWorld(t), &changes{}
	w.Changes = c
	own, err := w.LinkCustomer(t.Context(), alice, customerHref(alicesID), noCause)
	if err != nil || own.URL != customer(t, alicesID) || own.Enrolled {
		t.Errorf("%+v, %v", own, err)
	}
	c.learnt.Moved = true
	_, err = w.LinkCustomer(t.Context(), alice, customerHref(alicesID), noCause)
	mentions(t, err, string(clienttoken.CustomerMismatch), "changed during the request")
	if c.end != 2 {
		t.Errorf("%d watches ended", c.end)
	}
}

// TestEnrollmentRestartsTheWatch: the request's own link is not a change.
func TestEnrollmentRestartsTheWatch(t *testing.T) {
	w, c := newWorld(t), &changes{}
	w.Changes = c
	w.Enrollment = &enrollment{theirs: map[string]clienttoken.CustomerURL{carol.ID: customer(t, nobodysID)}}
	own, err := w.LinkCustomer(t.Context(), carol, customerHref(nobodysID), noCause)
	if err != nil || !own.Enrolled || own.URL != customer(t, nobodysID) {
		t.Errorf("%+v, %v", own, err)
	}
	if c.restarts != 1 || c.own != customer(t, nobodysID) {
		t.Errorf("%d restarts, asked about %s", c.restarts, c.own)
	}
}
