package customer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
)

var (
	_ customer.StatusSource = (*customer.WebhookStatus)(nil)
	_ customer.StatusSource = (*customer.DwollaStatus)(nil)
)

// statusBook holds the status at Dwolla and in the store. An answer takes a while
// after the read.
type statusBook struct {
	mu     sync.Mutex
	status clienttoken.CustomerStatus
	asked  []time.Time
	takes  time.Duration
	fault  error
}

func (b *statusBook) look(ctx context.Context) (clienttoken.CustomerStatus, error) {
	b.mu.Lock()
	b.asked = append(b.asked, time.Now())
	status, takes, fault := b.status, b.takes, b.fault
	b.mu.Unlock()
	if takes > 0 {
		select {
		case <-time.After(takes):
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	return status, fault
}

// GetCustomer implements customer.DwollaCustomers.
func (b *statusBook) GetCustomer(ctx context.Context, url clienttoken.CustomerURL) (clienttoken.Customer, error) {
	status, err := b.look(ctx)
	if err != nil {
		return clienttoken.Customer{}, err
	}
	return clienttoken.Customer{URL: url, Status: status}, nil
}

// statusStore is a statusBook as customer.StatusStore.
type statusStore struct{ *statusBook }

// Status implements customer.StatusStore.
func (s statusStore) Status(ctx context.Context, _ string) (string, error) {
	status, err := s.look(ctx)
	return string(status), err
}

func (b *statusBook) calls() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.asked)
}

func (b *statusBook) becomes(status clienttoken.CustomerStatus, fault error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status, b.fault = status, fault
}

func wantStatus(t *testing.T, source customer.StatusSource, want clienttoken.CustomerStatus) {
	t.Helper()
	got, err := source.Status(t.Context(), customerURL(t, customerA))
	if err != nil || got != want {
		t.Errorf("status %q (%v), want %q", got, err, want)
	}
}

// wantStatusFailure checks for a failure with that code and returns it.
func wantStatusFailure(t *testing.T, source customer.StatusSource, code clienttoken.Code) *clienttoken.Failure {
	t.Helper()
	got, err := source.Status(t.Context(), customerURL(t, customerA))
	failure, ok := errors.AsType[*clienttoken.Failure](err)
	if !ok || failure.Code != code || got != "" {
		t.Fatalf("status %q (%v), want a Failure with code %s", got, err, code)
	}
	return failure
}

func TestSuspensionReachesReplicasWithinOneLifetime(t *testing.T) {
	for _, before := range []clienttoken.CustomerStatus{"", clienttoken.StatusVerified} {
		synctest.Test(t, func(t *testing.T) {
			book := &statusBook{status: before}
			kept := customer.NewWebhookStatus(statusStore{book}, life)
			wantStatus(t, kept, before)
			book.becomes(clienttoken.StatusSuspended, nil) // by another replica
			<-time.After(life - 1)
			wantStatus(t, kept, before)
			wantCalls(t, book, 1)
			<-time.After(1)
			wantStatus(t, kept, clienttoken.StatusSuspended)
		})
	}
}

func TestLocalSuspensionTakesEffectAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		book := &statusBook{status: clienttoken.StatusVerified, takes: time.Second}
		kept := customer.NewWebhookStatus(statusStore{book}, life)
		var early sync.WaitGroup
		early.Go(func() { wantStatus(t, kept, clienttoken.StatusVerified) })
		synctest.Wait() // the store has read it
		book.becomes(clienttoken.StatusSuspended, nil)
		kept.Forget(customerURL(t, customerA))
		wantStatus(t, kept, clienttoken.StatusSuspended)
		early.Wait()
		wantStatus(t, kept, clienttoken.StatusSuspended)
		wantCalls(t, book, 2)
	})
}

func TestUnreadableStatusIsAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		book := &statusBook{status: clienttoken.StatusVerified, fault: errors.New("disk on fire")}
		kept := customer.NewWebhookStatus(statusStore{book}, life)
		if failure := wantStatusFailure(t, kept, clienttoken.Unavailable); failure.RetryAfter <= 0 {
			t.Error("no RetryAfter")
		}
		book.becomes(clienttoken.StatusVerified, nil)
		wantStatus(t, kept, clienttoken.StatusVerified)
		<-time.After(life)
		book.takes = time.Hour
		start := time.Now()
		_ = wantStatusFailure(t, kept, clienttoken.Unavailable)
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

const interval = time.Minute

func TestDwollaStatusReadsOncePerInterval(t *testing.T) {
	for _, takes := range []time.Duration{0, time.Second, interval + time.Second} {
		synctest.Test(t, func(t *testing.T) {
			book := &statusBook{status: clienttoken.StatusVerified, takes: takes}
			reread := customer.NewDwollaStatus(book, interval)
			var askers sync.WaitGroup
			for range 20 {
				askers.Go(func() { askAndAskAgain(t, reread) })
			}
			askers.Wait()
			for i := 1; i < len(book.asked); i++ {
				if gap := book.asked[i].Sub(book.asked[i-1]); gap < interval {
					t.Errorf("taking %v: asked again after %v", takes, gap)
				}
			}
			if book.calls() < 3 {
				t.Errorf("taking %v: asked %d times in all", takes, book.calls())
			}
		})
	}
}

// askAndAskAgain asks a hundred times in five intervals.
func askAndAskAgain(t *testing.T, source customer.StatusSource) {
	t.Helper()
	for range 100 {
		wantStatus(t, source, clienttoken.StatusVerified)
		<-time.After(interval / 20)
	}
}

func TestDwollaStatusSeesSuspensionsWithinAnInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		book := &statusBook{status: clienttoken.StatusVerified}
		reread := customer.NewDwollaStatus(book, interval)
		wantStatus(t, reread, clienttoken.StatusVerified)
		book.becomes(clienttoken.StatusSuspended, nil)
		<-time.After(interval)
		wantStatus(t, reread, clienttoken.StatusSuspended)
	})
}

func TestDwollaStatusCachesEachCustomerAlone(t *testing.T) {
	book := &statusBook{status: clienttoken.StatusVerified}
	reread := customer.NewDwollaStatus(book, interval)
	for range 2 {
		for _, id := range []string{customerA, customerB} {
			if _, err := reread.Status(t.Context(), customerURL(t, id)); err != nil {
				t.Error(err)
			}
		}
	}
	wantCalls(t, book, 2)
}

func TestFailedStatusReadIsCachedBriefly(t *testing.T) {
	for _, takes := range []time.Duration{0, 20 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			book := &statusBook{status: clienttoken.StatusVerified, takes: takes}
			reread := customer.NewDwollaStatus(book, interval)
			wantStatus(t, reread, clienttoken.StatusVerified)
			<-time.After(interval)
			down := &clienttoken.Failure{Code: clienttoken.UpstreamTimeout, DwollaRequestID: "0b1c"}
			book.becomes("", fmt.Errorf("reading: %w", down))
			var askers sync.WaitGroup
			for range 10 {
				askers.Go(func() {
					if got := wantStatusFailure(t, reread, clienttoken.UpstreamTimeout); got != down {
						t.Errorf("failure %v, want Dwolla's own", got)
					}
				})
			}
			askers.Wait()
			book.becomes(clienttoken.StatusVerified, nil)
			<-time.After(3*time.Second - 1)
			_ = wantStatusFailure(t, reread, clienttoken.UpstreamTimeout)
			wantCalls(t, book, 2)
			<-time.After(1)
			wantStatus(t, reread, clienttoken.StatusVerified)
			wantCalls(t, book, 3)
		})
	}
}

func TestCustomerUnknownToDwollaFailsClosed(t *testing.T) {
	book := &statusBook{fault: fmt.Errorf("status 404: %w", clienttoken.ErrUnknownCustomer)}
	failure := wantStatusFailure(t, customer.NewDwollaStatus(book, interval), clienttoken.UpstreamError)
	if !errors.Is(failure, clienttoken.ErrUnknownCustomer) || !strings.Contains(failure.Remedy, customerA) {
		t.Errorf("failure %v, mend %q", failure, failure.Remedy)
	}
}

func TestAnswerWithoutAStatusFailsClosed(t *testing.T) {
	_ = wantStatusFailure(t, customer.NewDwollaStatus(&statusBook{}, interval), clienttoken.UpstreamError)
}

func TestStatusReadOutlivesACanceledCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		book := &statusBook{status: clienttoken.StatusVerified, takes: 2 * time.Second}
		reread := customer.NewDwollaStatus(book, interval)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := reread.Status(ctx, customerURL(t, customerA))
		wantError(t, err, context.DeadlineExceeded)
		wantStatus(t, reread, clienttoken.StatusVerified)
		wantCalls(t, book, 1)
	})
}
