package customer_test

import (
	"context"
	"testing"
	"time"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
)

// Another replica unlinks the user while this one waits for Dwolla.
func TestRecheckReportsChangedLinkToWaitingRequest(t *testing.T) {
	store := annsStore()
	links := customer.NewLinkSource(sandbox(t), store, 5*time.Minute)
	links.Notifier = customer.NewChangeNotifier()
	own, err := links.Customer(t.Context(), clienttoken.User{ID: "ann"})
	wantError(t, err, nil)
	for name, unlinks := range map[string]bool{"still linked": false, "unlinked": true} {
		t.Run(name, func(t *testing.T) {
			watch := links.Notifier.Watch("ann")
			defer watch.End()
			if unlinks {
				wantError(t, store.Unlink(t.Context(), "ann"), nil)
			}
			links.Forget("ann")
			links.Recheck(t.Context(), "ann")
			links.Recheck(t.Context(), "bob") // whom no request waits for
			if moved := watch.Learnt(own, clienttoken.BeneficialOwnerURL{}).Moved; moved != unlinks {
				t.Errorf("moved: %t", moved)
			}
		})
		if !unlinks {
			continue
		}
		wantError(t, store.Link(t.Context(), "ann", own.ID()), nil)
		links.Forget("ann")
	}
}

type statuses map[string]string

func (s statuses) Status(_ context.Context, customerID string) (string, error) {
	return s[customerID], nil
}

func TestRecheckReportsSuspensionToWaitingRequest(t *testing.T) {
	store := statuses{customerA: "verified"}
	links := customer.NewLinkSource(sandbox(t), annsStore(), 5*time.Minute)
	links.Notifier = customer.NewChangeNotifier()
	kept := customer.NewWebhookStatus(store, 5*time.Minute)
	own := customerURL(t, customerA)
	_, err := kept.Status(t.Context(), own)
	wantError(t, err, nil)
	watch := links.Notifier.Watch("ann")
	defer watch.End()
	links.Recheck(t.Context(), "ann") // the request reads its Customer
	store[customerA] = "suspended"
	kept.Recheck(t.Context(), own, links.Notifier)
	if status := watch.Learnt(own, clienttoken.BeneficialOwnerURL{}).Status; status != "" {
		t.Errorf("a cached status is not news: %q", status)
	}
	kept.Forget(own)
	kept.Recheck(t.Context(), own, links.Notifier)
	if status := watch.Learnt(own, clienttoken.BeneficialOwnerURL{}).Status; status != "suspended" {
		t.Errorf("status %q, want suspended", status)
	}
}
