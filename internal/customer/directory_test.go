package customer_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
)

// statusFunc is a status source made of a function.
type statusFunc func() (clienttoken.CustomerStatus, error)

// Status implements customer.StatusSource.
func (f statusFunc) Status(context.Context, clienttoken.CustomerURL) (clienttoken.CustomerStatus, error) {
	return f()
}

func says(status clienttoken.CustomerStatus) customer.StatusSource {
	return statusFunc(func() (clienttoken.CustomerStatus, error) { return status, nil })
}

func fails(err error) customer.StatusSource {
	return statusFunc(func() (clienttoken.CustomerStatus, error) { return "", err })
}

// directoryOf returns a directory with a link from ann to Customer A.
func directoryOf(tb testing.TB, statuses ...customer.StatusSource) *customer.Directory {
	tb.Helper()
	return customer.NewDirectory(customer.DirectoryConfig{
		Source:     customer.NewLinkSource(sandbox(tb), annsStore(), time.Minute),
		Statuses:   statuses,
		Registerer: prometheus.NewRegistry(),
	})
}

func TestAnyStatusSourceMakesACustomerInactive(t *testing.T) {
	const suspended, deactivated, verified, retry = clienttoken.StatusSuspended, clienttoken.StatusDeactivated, clienttoken.StatusVerified, clienttoken.StatusRetry
	for _, c := range []struct {
		say  []clienttoken.CustomerStatus
		want clienttoken.CustomerStatus
	}{
		{nil, ""},
		{[]clienttoken.CustomerStatus{""}, ""},
		{[]clienttoken.CustomerStatus{"", ""}, ""},
		{[]clienttoken.CustomerStatus{verified}, verified},
		{[]clienttoken.CustomerStatus{verified, retry}, verified},
		{[]clienttoken.CustomerStatus{"", retry}, retry},
		{[]clienttoken.CustomerStatus{suspended}, suspended},
		{[]clienttoken.CustomerStatus{verified, suspended}, suspended},
		{[]clienttoken.CustomerStatus{suspended, verified}, suspended},
		{[]clienttoken.CustomerStatus{"", deactivated}, deactivated},
		{[]clienttoken.CustomerStatus{verified, "", deactivated}, deactivated},
	} {
		var sources []customer.StatusSource
		for _, status := range c.say {
			sources = append(sources, says(status))
		}
		got, err := directoryOf(t, sources...).Customer(t.Context(), clienttoken.User{ID: "ann"})
		if want := (clienttoken.Customer{URL: customerURL(t, customerA), Status: c.want}); err != nil || got != want {
			t.Errorf("%q: %+v (%v), want %+v", c.say, got, err, want)
		}
	}
}

func TestUnknownStatusFailsClosed(t *testing.T) {
	down := &clienttoken.Failure{Code: clienttoken.Unavailable, RetryAfter: time.Second, Err: errors.New("disk on fire")}
	for name, sources := range map[string][]customer.StatusSource{
		"the only one": {fails(down)},
		"the first":    {fails(down), says(clienttoken.StatusVerified)},
		"the last":     {says(clienttoken.StatusVerified), fails(down)},
	} {
		got, err := directoryOf(t, sources...).Customer(t.Context(), clienttoken.User{ID: "ann"})
		wantFailure(t, err)
		if got != (clienttoken.Customer{}) {
			t.Errorf("%s: %+v beside the error", name, got)
		}
	}
}

func TestUsersWithoutACustomerCostNoStatusLookup(t *testing.T) {
	status := statusFunc(func() (clienttoken.CustomerStatus, error) {
		t.Error("asked")
		return "", nil
	})
	if _, err := directoryOf(t, status).Customer(t.Context(), clienttoken.User{ID: "bob"}); !errors.Is(err, clienttoken.ErrNoCustomer) {
		t.Errorf("error %v, want ErrNoCustomer", err)
	}
}

func TestDirectoryCountsLookups(t *testing.T) {
	store, registry := annsStore(), prometheus.NewRegistry()
	directory := customer.NewDirectory(customer.DirectoryConfig{Source: customer.NewLinkSource(sandbox(t), store, time.Minute), Registerer: registry})
	ask := func(ctx context.Context, userID string) {
		_, _ = directory.Customer(ctx, clienttoken.User{ID: userID})
	}
	ask(t.Context(), "ann")
	ask(t.Context(), "ann") // remembered
	ask(t.Context(), "bob")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	ask(gone, "bob")
	store.fault = errors.New("disk on fire")
	ask(t.Context(), "bob")
	late, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	ask(late, "bob")
	const want = `# HELP dropgate_directory_requests_total Lookups of a user's Customer, cached ones included, by outcome: found, none, unavailable or canceled.
# TYPE dropgate_directory_requests_total counter
dropgate_directory_requests_total{outcome="canceled"} 1
dropgate_directory_requests_total{outcome="found"} 2
dropgate_directory_requests_total{outcome="none"} 1
dropgate_directory_requests_total{outcome="unavailable"} 2
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "dropgate_directory_requests_total"); err != nil {
		t.Error(err)
	}
}
