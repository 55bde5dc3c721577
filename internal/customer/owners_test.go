package customer_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
)

// registrar lists owners like Dwolla. An answer takes a while after the read.
type registrar struct {
	mu     sync.Mutex
	owners map[string][]clienttoken.BeneficialOwnerURL // by the id of the Customer
	asked  int
	takes  time.Duration
	fault  error
}

// ListBeneficialOwners implements customer.OwnerLister.
func (r *registrar) ListBeneficialOwners(ctx context.Context, of clienttoken.CustomerURL) ([]clienttoken.BeneficialOwnerURL, error) {
	r.mu.Lock()
	r.asked++
	owners, takes, fault := slices.Clone(r.owners[of.ID()]), r.takes, r.fault
	r.mu.Unlock()
	if takes > 0 {
		select {
		case <-time.After(takes):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if fault != nil {
		return nil, fault
	}
	return owners, nil
}

func (r *registrar) add(of string, owner clienttoken.BeneficialOwnerURL) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.owners == nil {
		r.owners = map[string][]clienttoken.BeneficialOwnerURL{}
	}
	r.owners[of] = append(r.owners[of], owner)
}

func (r *registrar) calls() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

func ownerNumber(t *testing.T, n int) clienttoken.BeneficialOwnerURL {
	t.Helper()
	owner, err := clienttoken.ParseBeneficialOwnerID(sandbox(t), customerNumber(n))
	if err != nil {
		t.Fatal(err)
	}
	return owner
}

func directoryWith(owners customer.OwnerLister) *customer.Directory {
	return customer.NewDirectory(customer.DirectoryConfig{Owners: owners, Registerer: prometheus.NewRegistry()})
}

func wantOwner(t *testing.T, directory *customer.Directory, customerID string, owner clienttoken.BeneficialOwnerURL) {
	t.Helper()
	if has, err := directory.HasBeneficialOwner(t.Context(), customerURL(t, customerID), owner); err != nil || !has {
		t.Errorf("%s is not an owner of %s (%v)", owner, customerID, err)
	}
}

func wantNoOwner(t *testing.T, directory *customer.Directory, customerID string, owner clienttoken.BeneficialOwnerURL) {
	t.Helper()
	if has, err := directory.HasBeneficialOwner(t.Context(), customerURL(t, customerID), owner); err != nil || has {
		t.Errorf("%s is an owner of %s (%v)", owner, customerID, err)
	}
}

func TestOwnersAreCachedForAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dwolla := &registrar{}
		dwolla.add(customerA, ownerNumber(t, 1))
		dwolla.add(customerA, ownerNumber(t, 2))
		directory := directoryWith(dwolla)
		for range 5 {
			wantOwner(t, directory, customerA, ownerNumber(t, 1))
			wantOwner(t, directory, customerA, ownerNumber(t, 2))
		}
		<-time.After(time.Minute - 1)
		wantOwner(t, directory, customerA, ownerNumber(t, 1))
		wantCalls(t, dwolla, 1)
		<-time.After(1)
		dwolla.owners[customerA] = nil // removed at Dwolla
		wantNoOwner(t, directory, customerA, ownerNumber(t, 1))
		wantCalls(t, dwolla, 2)
	})
}

func TestNewOwnerIsFound(t *testing.T) {
	dwolla := &registrar{}
	dwolla.add(customerA, ownerNumber(t, 1))
	directory := directoryWith(dwolla)
	wantOwner(t, directory, customerA, ownerNumber(t, 1))
	dwolla.add(customerA, ownerNumber(t, 2))
	wantOwner(t, directory, customerA, ownerNumber(t, 2))
	wantCalls(t, dwolla, 2)
	wantOwner(t, directory, customerA, ownerNumber(t, 2)) // and cached
	wantOwner(t, directory, customerA, ownerNumber(t, 1))
	wantCalls(t, dwolla, 2)
}

func TestUnknownOwnerCostsOneCall(t *testing.T) {
	dwolla := &registrar{}
	directory := directoryWith(dwolla)
	for n := range 3 {
		wantNoOwner(t, directory, customerA, ownerNumber(t, 1))
		wantCalls(t, dwolla, n+1) // the first list is new, later ones were cached
	}
}

func TestAnotherCustomersOwnerIsNotFound(t *testing.T) {
	dwolla := &registrar{}
	dwolla.add(customerA, ownerNumber(t, 1))
	dwolla.add(customerB, ownerNumber(t, 2))
	directory := directoryWith(dwolla)
	for range 3 {
		wantOwner(t, directory, customerA, ownerNumber(t, 1))
		wantOwner(t, directory, customerB, ownerNumber(t, 2))
		wantNoOwner(t, directory, customerA, ownerNumber(t, 2))
		wantNoOwner(t, directory, customerB, ownerNumber(t, 1))
		wantNoOwner(t, directory, customerA, clienttoken.BeneficialOwnerURL{})
	}
}

// The owner is created after Dwolla's read for another lookup, and before its answer.
func TestOwnerCreatedDuringALookupIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dwolla := &registrar{takes: time.Second}
		dwolla.add(customerA, ownerNumber(t, 1))
		directory := directoryWith(dwolla)
		var early sync.WaitGroup
		early.Go(func() { wantOwner(t, directory, customerA, ownerNumber(t, 1)) })
		synctest.Wait()
		dwolla.add(customerA, ownerNumber(t, 2))
		wantOwner(t, directory, customerA, ownerNumber(t, 2))
		early.Wait()
		wantCalls(t, dwolla, 2)
	})
}

func TestUnreadableOwnersAreAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dwolla := &registrar{}
		dwolla.add(customerA, ownerNumber(t, 1))
		directory := directoryWith(dwolla)
		wantOwner(t, directory, customerA, ownerNumber(t, 1))
		dwolla.fault = &clienttoken.Failure{Code: clienttoken.Unavailable, Err: errors.New("connection refused")}
		wantOwner(t, directory, customerA, ownerNumber(t, 1)) // cached
		outage := func(owner clienttoken.BeneficialOwnerURL) {
			t.Helper()
			has, err := directory.HasBeneficialOwner(t.Context(), customerURL(t, customerA), owner)
			wantFailure(t, err)
			if has {
				t.Error("yes beside the error")
			}
		}
		outage(ownerNumber(t, 2))
		<-time.After(time.Minute)
		outage(ownerNumber(t, 1))
		dwolla.fault = nil
		wantOwner(t, directory, customerA, ownerNumber(t, 1)) // outages are not cached
	})
}

func TestCanceledOwnerLookupIsNotAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dwolla := &registrar{takes: time.Second}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		has, err := directoryWith(dwolla).HasBeneficialOwner(ctx, customerURL(t, customerA), ownerNumber(t, 1))
		if _, failed := errors.AsType[*clienttoken.Failure](err); has || failed || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%t, %v", has, err)
		}
		<-time.After(time.Second) // the lookup ends by itself
	})
}
