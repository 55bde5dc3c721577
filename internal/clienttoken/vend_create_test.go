package clienttoken_test

import (
	"context"
	"errors"
	"testing"

	"dropgate/internal/clienttoken"
)

// purse is an allowance of tokens for customer.create.
type purse struct {
	empty, emptyLater bool
	paid              []string
}

var errPurse = errors.New("no more of them")

func (p *purse) CheckCreate(string) error {
	if p.empty {
		return errPurse
	}
	return nil
}

func (p *purse) PayCreate(_ context.Context, userID string) error {
	p.paid = append(p.paid, userID)
	if p.emptyLater {
		return errPurse
	}
	return nil
}

func TestVendChargesCreationsAfterDwolla(t *testing.T) {
	create := clienttoken.Request{Action: "customer.create"}
	for _, row := range []struct {
		name            string
		purse           purse
		dwolla          error
		granted, vended int
		paid            int
	}{
		{"in time", purse{}, nil, 1, 1, 1},
		{"too many", purse{empty: true}, nil, 0, 0, 0},
		{"too many at once", purse{emptyLater: true}, nil, 1, 0, 1},
		{"a failure of Dwolla's", purse{}, &clienttoken.Failure{Code: clienttoken.UpstreamError}, 1, 0, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t)
			w.Creations, w.dwolla.createErr = &row.purse, row.dwolla
			vended, err := w.Vend(t.Context(), carol, create, noCause)
			if (err == nil) != (row.vended == 1) || vended.Token.IsZero() == (row.vended == 1) {
				t.Errorf("vended: %v, %v", !vended.Token.IsZero(), err)
			}
			if len(w.dwolla.granted) != row.granted || len(row.purse.paid) != row.paid {
				t.Errorf("%d calls, %d payments", len(w.dwolla.granted), len(row.purse.paid))
			}
		})
	}
	w := newWorld(t)
	other := &purse{empty: true, emptyLater: true}
	w.Creations = other
	w.vends(t, alice, clienttoken.Request{Action: "customer.read"}, clienttoken.Grant{Action: clienttoken.ActionCustomerRead, Customer: customer(t, alicesID)})
	if len(other.paid) != 0 {
		t.Error("another action is paid for as a creation")
	}
}
