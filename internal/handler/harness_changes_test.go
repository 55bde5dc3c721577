package handler_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"dropgate/internal/customer/customerdb"
)

// changes records the audit entries of changed links.
type changes struct {
	mu      sync.Mutex
	entries []customerdb.LinkChange
}

// of records the store's changes from now on.
func (c *changes) of(store *customerdb.Database) {
	customerdb.NewOutbox(customerdb.OutboxConfig{
		Store: store, Logger: zerolog.Nop(), Registerer: prometheus.NewRegistry(),
		Write: func(_ context.Context, change customerdb.LinkChange) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.entries = append(c.entries, change)
			return nil
		},
	})
}

// are compares the entries so far: the mode, the kind, the user and the Customer.
func (c *changes) are(t *testing.T, want ...string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	var got []string
	for _, e := range c.entries {
		got = append(got, fmt.Sprint(e.Cause.Mode, " ", e.Kind, " ", e.UserID, " ", e.CustomerID))
		if e.ID == "" || e.Cause.RequestID == "" || e.Cause.ClientIP == "" {
			t.Errorf("entry %+v lacks its id or its request", e)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the entries are %q, want %q", got, want)
	}
}
