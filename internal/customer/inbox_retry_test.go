package customer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
	"dropgate/internal/customer/customerdb"
)

// stubbornDwolla fails a given number of times.
type stubbornDwolla struct {
	customer.DwollaCustomers

	mu       sync.Mutex
	failures int
}

func (s *stubbornDwolla) GetCustomer(ctx context.Context, url clienttoken.CustomerURL) (clienttoken.Customer, error) {
	s.mu.Lock()
	failing := s.failures > 0
	s.failures--
	s.mu.Unlock()
	if failing {
		return clienttoken.Customer{}, &clienttoken.Failure{Code: clienttoken.UpstreamError, Err: errors.New("as told")}
	}
	return s.DwollaCustomers.GetCustomer(ctx, url)
}

func TestWebhookIsAbandonedAfterFourDays(t *testing.T) {
	e := newEnrolling(t, key("a"))
	i := newInbox(t, e)
	i.config.Dwolla = &stubbornDwolla{failures: 1 << 30}
	i.reopen()
	hopeless := eventOf("customer_activated", customerA, 1)
	hopeless.Created = time.Now().Add(-4*24*time.Hour - time.Minute)
	if added, err := e.store.AddEvent(t.Context(), hopeless, hopeless.Created); !added || err != nil {
		t.Fatalf("added %v, error %v", added, err)
	}
	i.settle(t)
	i.counted(t, "dropgate_webhooks_processed_total", "customer_activated", "abandoned", 1)
	if !strings.Contains(i.logs.String(), `"level":"error"`) || !strings.Contains(i.logs.String(), customerA) {
		t.Errorf("the log lacks the fault:\n%s", i.logs.String())
	}
}

func TestInboxMeasuresTheQueue(t *testing.T) {
	e := newEnrolling(t, key("a"))
	i := newInbox(t, e)
	i.config.Dwolla = &stubbornDwolla{failures: 1 << 30}
	i.reopen()
	waiting := eventOf("customer_activated", customerA, 1)
	if added, err := e.store.AddEvent(t.Context(), waiting, time.Now().Add(-time.Hour)); !added || err != nil {
		t.Fatalf("added %v, error %v", added, err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		i.Run(ctx)
	}()
	want := `
# HELP dropgate_webhook_queue_depth Webhook events waiting in the database, of all replicas.
# TYPE dropgate_webhook_queue_depth gauge
dropgate_webhook_queue_depth 1
`
	for deadline := time.Now().Add(10 * time.Second); ; {
		err := testutil.GatherAndCompare(i.registry, strings.NewReader(want), "dropgate_webhook_queue_depth")
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	stop()
	<-done
}

// Two replicas stop and start all the time, and many webhooks arrive, some twice. Each
// takes effect once.
func TestRestartsLoseAndRepeatNoEvents(t *testing.T) {
	e := newEnrolling(t, key("a"))
	first, second := newInbox(t, e), newInbox(t, e)
	const users = 60
	want := map[string]string{}
	var events []customerdb.WebhookEvent
	for n := range users {
		user := clienttoken.User{ID: fmt.Sprint("user ", n)}
		wantError(t, e.Expect(t.Context(), user), nil)
		url := e.created(t, e.CorrelationID(user))
		want[user.ID] = url.ID()
		events = append(events, eventOf("customer_created", url.ID(), 5), eventOf("customer_suspended", url.ID(), 1))
	}
	var telling sync.WaitGroup
	telling.Go(func() {
		for n, event := range events {
			first.deliver(t, event)
			if n%3 == 0 {
				second.deliver(t, event)
			}
		}
	})
	for range 10 {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		var running sync.WaitGroup
		running.Go(func() { first.Run(ctx) })
		running.Go(func() { second.Run(ctx) })
		running.Wait()
		cancel()
	}
	telling.Wait()
	// Leases of stopped workers end.
	if err := e.release(t); err != nil {
		t.Fatal(err)
	}
	first.settle(t)
	for user, customerID := range want {
		wantCustomer(t, e.store, user, customerID)
		e.wantStatus(t, customerID, "suspended")
	}
	linked := slices.Concat(first.linked, second.linked)
	slices.Sort(linked)
	if len(slices.Compact(linked)) != len(linked) {
		t.Errorf("reported a link twice: %v", linked)
	}
}

// release makes all waiting events due, as time would.
func (e *enrolling) release(t *testing.T) error {
	t.Helper()
	for {
		next, err := e.store.ClaimEvent(t.Context(), time.Now().Add(time.Hour), time.Hour)
		if errors.Is(err, customerdb.ErrNoEvent) {
			break
		} else if err != nil {
			return err
		}
		defer func() { _ = e.store.PostponeEvent(context.Background(), next.ID, time.Now()) }()
	}
	return nil
}
