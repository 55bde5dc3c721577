package customer_test

import (
	"context"
	"testing"
	"time"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
)

func TestLookupPanicsReachTheWaitingCaller(t *testing.T) {
	links := customer.NewLinkSource(sandbox(t), panickingStore{}, time.Minute)
	for range 2 { // and not cached
		func() {
			defer func() {
				if recover() != "the store panics" {
					t.Error("the panic did not arrive")
				}
			}()
			_, err := links.Customer(t.Context(), clienttoken.User{ID: "ann"})
			t.Errorf("an answer, error %v", err)
		}()
	}
}

type panickingStore struct{ customer.Store }

func (panickingStore) Customer(context.Context, string) (string, error) { panic("the store panics") }
