package customer_test

import (
	"testing"
	"testing/synctest"
	"time"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
)

// informed is a replica with the number of news it sent.
type informed struct {
	*customer.DwollaStatus

	sent int
}

// informedReplicas returns replicas that drop a status after news of another one.
func informedReplicas(book *statusBook, n int) []*informed {
	all := make([]*informed, n)
	for i := range all {
		all[i] = &informed{DwollaStatus: customer.NewDwollaStatus(book, interval)}
	}
	for i, r := range all {
		r.Changed = func(url clienttoken.CustomerURL) {
			r.sent++
			for j, other := range all {
				if j != i {
					other.Forget(url)
				}
			}
		}
	}
	return all
}

// TestReadStatusIsNewsOncePerReplica: otherwise replicas would make each other ask
// Dwolla for ever.
func TestReadStatusIsNewsOncePerReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		book := &statusBook{}
		all := informedReplicas(book, 3)
		for change, status := range []clienttoken.CustomerStatus{
			clienttoken.StatusVerified, clienttoken.StatusSuspended, clienttoken.StatusVerified, clienttoken.StatusDeactivated,
		} {
			<-time.After(interval) // so that one of them asks
			book.becomes(status, nil)
			before := book.calls()
			for range 20 {
				for _, r := range all {
					wantStatus(t, r, status)
				}
			}
			if asked := book.calls() - before; asked > 9 {
				t.Errorf("%s: Dwolla was asked %d times", status, asked)
			}
			haveSent(t, all, change) // none about a Customer that was always active
		}
	})
}

// haveSent checks the number of news that each replica has sent.
func haveSent(t *testing.T, all []*informed, want int) {
	t.Helper()
	for i, r := range all {
		if r.sent != want {
			t.Errorf("replica %d has sent %d news, want %d", i, r.sent, want)
		}
	}
}

func TestNewsOfAStatusReachesCachedAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		book := &statusBook{status: clienttoken.StatusVerified}
		all := informedReplicas(book, 2)
		wantStatus(t, all[1], clienttoken.StatusVerified) // for an interval
		book.becomes(clienttoken.StatusSuspended, nil)
		wantStatus(t, all[0], clienttoken.StatusSuspended)
		wantStatus(t, all[1], clienttoken.StatusSuspended)
	})
}
