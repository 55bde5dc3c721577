package customer_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
	"dropgate/internal/customer/customerdb"
)

// inbox is an inbox of a service with enrollment, and a record of its effects.
type inbox struct {
	*customer.Inbox

	e        *enrolling
	registry *prometheus.Registry
	config   customer.InboxConfig

	mu      sync.Mutex
	next    map[string]customerdb.WebhookEvent // by body
	linked  []string                           // "event user"
	changed []string                           // "user Customer"
	logs    logs
}

func newInbox(t *testing.T, e *enrolling) *inbox {
	t.Helper()
	i := &inbox{e: e, next: map[string]customerdb.WebhookEvent{}}
	i.config = customer.InboxConfig{
		Read: func(signature string, body []byte) (customerdb.WebhookEvent, error) {
			if signature != "good" {
				return customerdb.WebhookEvent{}, &clienttoken.Refusal{Code: clienttoken.Unauthenticated, Reason: "the signature is wrong"}
			}
			i.mu.Lock()
			defer i.mu.Unlock()
			return i.next[string(body)], nil
		},
		API: e.api, Store: e.store, Enrollment: e.Enrollment, Dwolla: e.client,
		Changed: func(userID string, customer clienttoken.CustomerURL) {
			i.mu.Lock()
			defer i.mu.Unlock()
			i.changed = append(i.changed, userID+" "+customer.ID())
			e.links.Changed(userID)
		},
		Logger: zerolog.New(&i.logs),
	}
	customerdb.NewOutbox(customerdb.OutboxConfig{
		Store: e.store, Logger: zerolog.New(&i.logs), Registerer: prometheus.NewRegistry(),
		Write: func(_ context.Context, c customerdb.LinkChange) error {
			i.mu.Lock()
			defer i.mu.Unlock()
			i.linked = append(i.linked, c.Cause.RequestID+" "+c.UserID)
			return nil
		},
	})
	i.reopen()
	return i
}

// logs collects log lines while the inbox runs.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// reopen restarts the inbox.
func (i *inbox) reopen() {
	i.registry = prometheus.NewRegistry()
	i.config.Registerer = i.registry
	i.Inbox = customer.NewInbox(i.config)
}

// send sends a webhook and returns its error.
func (i *inbox) send(ctx context.Context, event customerdb.WebhookEvent) error {
	i.mu.Lock()
	i.next[event.ID] = event
	i.mu.Unlock()
	return i.Receive(ctx, "good", []byte(event.ID))
}

// deliver sends webhooks, which must be acknowledged.
func (i *inbox) deliver(t *testing.T, events ...customerdb.WebhookEvent) {
	t.Helper()
	for _, event := range events {
		if err := i.send(t.Context(), event); err != nil {
			t.Fatalf("%+v: %v", event, err)
		}
	}
}

// waiting stores an event received some time ago.
func (i *inbox) waiting(t *testing.T, event customerdb.WebhookEvent, since time.Duration) {
	t.Helper()
	if added, err := i.e.store.AddEvent(t.Context(), event, time.Now().Add(-since)); !added || err != nil {
		t.Fatalf("added %v, error %v", added, err)
	}
}

// settle runs the inbox until the queue is empty.
func (i *inbox) settle(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		i.Run(ctx)
	}()
	for deadline := time.Now().Add(30 * time.Second); ; {
		queue, err := i.e.store.Backlog(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if queue.Depth == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d webhooks still wait:\n%s", queue.Depth, i.logs.String())
		}
	}
	stop()
	<-done
}

// counted checks the count of an outcome.
func (i *inbox) counted(t *testing.T, metric, topic, outcome string, want float64) {
	t.Helper()
	families, err := i.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := 0.0
	for _, family := range families {
		for _, m := range family.GetMetric() {
			labels := fmt.Sprint(m.GetLabel())
			if family.GetName() == metric && strings.Contains(labels, `"`+topic+`"`) && strings.Contains(labels, `"`+outcome+`"`) {
				got += m.GetCounter().GetValue()
			}
		}
	}
	if got != want {
		t.Errorf("%s{%s,%s} is %v, want %v", metric, topic, outcome, got, want)
	}
}

var eventNumber struct {
	sync.Mutex
	n int
}

// eventOf returns a new event about a Customer, created some seconds ago.
func eventOf(topic, customerID string, secondsAgo int) customerdb.WebhookEvent {
	eventNumber.Lock()
	defer eventNumber.Unlock()
	eventNumber.n++
	return customerdb.WebhookEvent{
		ID: fmt.Sprint("event-", eventNumber.n), Topic: clienttoken.Topic(topic), CustomerID: customerID,
		Created: time.Now().Add(-time.Duration(secondsAgo) * time.Second).Truncate(time.Millisecond),
	}
}

func (e *enrolling) wantStatus(t *testing.T, customerID, want string) {
	t.Helper()
	if got, err := e.store.Status(t.Context(), customerID); got != want || err != nil {
		t.Errorf("the status of %s is %q, error %v, want %q", customerID, got, err, want)
	}
}
