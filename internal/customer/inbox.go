package customer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer/customerdb"
	"dropgate/internal/tracing"
)

// InboxConfig configures an Inbox. All fields but Enrollment and Notifier are
// required.
type InboxConfig struct {
	// Read verifies a webhook's signature and parses its body. The event's topic must
	// be a [clienttoken.Topic.Label]. The error is a *clienttoken.Refusal.
	Read  func(signature string, body []byte) (customerdb.WebhookEvent, error)
	Store *customerdb.Database
	// Enrollment links new Customers. It is nil for sources other than the database.
	Enrollment *Enrollment
	Dwolla     DwollaCustomers
	Changed    func(userID string, customer clienttoken.CustomerURL) // drops cached answers
	Notifier   *ChangeNotifier                                       // receives every change; may be nil
	Tracer     *tracing.Tracer                                       // nil: no spans
	API        clienttoken.API
	Logger     zerolog.Logger
	Registerer prometheus.Registerer
}

// Inbox processes Dwolla's webhooks. Receive stores an event before it is
// acknowledged. Then some replica processes it, so a crash loses nothing.
type Inbox struct {
	config  InboxConfig
	metrics *inboxMetrics
	lanes   []lane
	fault   queueFault
}

const (
	// inboxLease is how long a worker owns an event. It exceeds the longest call to
	// Dwolla.
	inboxLease = time.Minute
	// rememberEvents is how long ids of settled events are kept. Dwolla resends an
	// event for 72 hours, an operator at any time. A later copy is settled again, to
	// no effect: a status keeps its time.
	rememberEvents = 4 * 24 * time.Hour
	// aheadOfUs is how far Dwolla's clock may run ahead. A later time does not order
	// events.
	aheadOfUs = 5 * time.Minute
	// keepTrying is how long an event is retried after its arrival.
	keepTrying = 4 * 24 * time.Hour
	// unknownFor is the age at which Dwolla's "no such Customer" counts. Its reads may
	// lag behind its webhooks.
	unknownFor = time.Hour
	// unprovenFor is the age at which a stored correlationId without a matching key
	// counts as unproven. During a rotation another replica may have the key.
	unprovenFor = 24 * time.Hour
	// longestRetry is the longest wait between two attempts.
	longestRetry = 5 * time.Minute
)

// NewInbox returns an inbox. Run processes its events.
func NewInbox(c InboxConfig) *Inbox {
	i := &Inbox{config: c, metrics: newInboxMetrics(c.Registerer)}
	i.lanes = []lane{newLane(c.Store.ClaimEvent, i.process, &i.fault), newLane(c.Store.ClaimStatusEvent, i.process, &i.fault)}
	return i
}

// Fault returns why the queue of events cannot be used, or nil.
func (i *Inbox) Fault() error { return i.fault.get() }

// Receive stores one webhook event. It returns nil for a stored event, a known one,
// and one about no Customer.
func (i *Inbox) Receive(ctx context.Context, signature string, body []byte) error {
	event, err := i.config.Read(signature, body)
	if err != nil {
		i.metrics.webhooks.WithLabelValues(string(clienttoken.OtherTopic), "refused").Inc()
		return err
	}
	i.metrics.arrived(time.Now())
	outcome, err := i.keep(ctx, event)
	span := tracing.Current(ctx)
	span.Set(tracing.Topic, string(event.Topic))
	span.Set(tracing.Outcome, outcome)
	if outcome == "queued" {
		span.LinkToProcessing(event.ID)
	}
	i.metrics.webhooks.WithLabelValues(string(event.Topic), outcome).Inc()
	return err
}

func (i *Inbox) keep(ctx context.Context, event customerdb.WebhookEvent) (outcome string, err error) {
	if event.CustomerID == "" {
		return "ignored", nil
	}
	now := time.Now()
	if event.Created.After(now.Add(aheadOfUs)) {
		event = i.fromTheFuture(event, now)
	}
	added, err := i.store(ctx, event, now)
	switch {
	case err != nil:
		return "unavailable", storeFault(ctx, err)
	case !added:
		return "duplicate", nil
	}
	for _, lane := range i.lanes {
		lane.wake()
	}
	return "queued", nil
}

// fromTheFuture dates an event to its arrival, or it would stay the latest for ever. A
// suspension still counts. For other topics Dwolla is asked for the status, since the
// order of events is unknown.
func (i *Inbox) fromTheFuture(event customerdb.WebhookEvent, now time.Time) customerdb.WebhookEvent {
	i.config.Logger.Warn().Str("event_id", event.ID).Str("topic", string(event.Topic)).Time("created", event.Created).
		Msg("the webhook event is dated in the future and counts from now: check this machine's clock")
	event.Created = now
	if event.Topic != clienttoken.TopicCustomerCreated && !event.Topic.Status().Inactive() {
		event.Topic = clienttoken.OtherTopic
	}
	return event
}

// Run processes stored events until ctx ends.
func (i *Inbox) Run(ctx context.Context) {
	var running sync.WaitGroup
	for _, lane := range i.lanes {
		running.Go(func() { lane.run(ctx) })
	}
	running.Go(func() { i.tidy(ctx) })
	running.Wait()
}

// process settles one event or postpones it, in a trace of its own.
func (i *Inbox) process(ctx context.Context, event customerdb.WebhookEvent) {
	ctx, span := i.trace(ctx, event)
	defer span.End()
	ctx = clienttoken.Cause{Mode: "webhook", RequestID: event.ID, TraceID: tracing.TraceID(ctx)}.NewContext(ctx)
	work, err := i.recovered(ctx, event)
	if err == nil {
		err = i.config.Store.Settle(ctx, event.ID, work.effect, time.Now())
	}
	if errors.Is(err, customerdb.ErrUnlinked) {
		i.config.Logger.Warn().Str("event_id", event.ID).Str("customer", event.CustomerID).Err(err).Msg("a new Customer was not linked")
		work.outcome, err = "unmatched", nil
	}
	if errors.Is(err, customerdb.ErrUserLinked) || errors.Is(err, customerdb.ErrCustomerLinked) {
		work.outcome, work.effect.UserID = "conflict", ""
		i.config.Logger.Warn().Str("event_id", event.ID).Str("customer", event.CustomerID).Err(err).Msg("a new Customer was not linked")
		err = i.config.Store.Settle(ctx, event.ID, work.effect, time.Now())
	}
	i.changed(event, work.effect, err)
	switch {
	case err == nil:
	case errors.Is(err, customerdb.ErrSettled): // another replica took over the lease
		return
	case ctx.Err() != nil: // the lease ends and the event is due again
		return
	default:
		work.outcome = i.postpone(ctx, event, err)
		span.Fail(work.outcome)
	}
	span.Set(tracing.Outcome, work.outcome)
	i.metrics.processed.WithLabelValues(string(event.Topic), work.outcome).Inc()
	i.config.Logger.Info().Str("event_id", event.ID).Str("topic", string(event.Topic)).Str("customer", event.CustomerID).
		Str("outcome", work.outcome).Msg("webhook")
}

// changed drops the cached answers an event may have changed, even when settling
// failed. It notifies only about changes that were committed.
func (i *Inbox) changed(event customerdb.WebhookEvent, effect customerdb.EventResult, settled error) {
	customer, err := clienttoken.ParseCustomerID(i.config.API, event.CustomerID)
	if err != nil {
		return
	}
	i.config.Changed(effect.UserID, customer)
	if settled != nil {
		return
	}
	if effect.UserID != "" {
		i.config.Notifier.linked(effect.UserID, customer)
	}
	i.config.Notifier.status(customer, clienttoken.CustomerStatus(effect.Status))
}

// postpone schedules the next attempt, or abandons an event after four days. It
// returns the outcome for the metric.
func (i *Inbox) postpone(ctx context.Context, event customerdb.WebhookEvent, err error) (outcome string) {
	if time.Since(event.Received) > keepTrying {
		i.config.Logger.Error().Str("event_id", event.ID).Str("topic", string(event.Topic)).Str("customer", event.CustomerID).Err(err).
			Msg("a webhook event failed for four days and is abandoned: check this Customer at Dwolla")
		_ = i.config.Store.Settle(ctx, event.ID, customerdb.EventResult{}, time.Now()) // on error, abandon it next time
		return "abandoned"
	}
	wait := min(time.Second<<min(event.Attempts, 16), longestRetry)
	wait = wait/2 + rand.N(wait/2+1) //nolint:gosec // jitter
	if failure, ok := errors.AsType[*clienttoken.Failure](err); ok {
		wait = max(wait, failure.RetryAfter)
	}
	i.config.Logger.Warn().Str("event_id", event.ID).Int("attempts", event.Attempts).
		Dur("retry_ms", wait).Err(err).Msg("a webhook event will be retried")
	_ = i.config.Store.PostponeEvent(ctx, event.ID, time.Now().Add(wait)) // on error, the lease ends
	return "retried"
}

// work is the result of an event, and its outcome for the metric.
type work struct {
	effect  customerdb.EventResult
	outcome string
}

// recovered is work with panics turned into errors. An unrecovered panic would end
// this process, and then the next one to claim the event.
func (i *Inbox) recovered(ctx context.Context, event customerdb.WebhookEvent) (w work, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic while processing a webhook event: %v\n%s", p, debug.Stack())
		}
	}()
	return i.work(ctx, event)
}

// work decides what an event changes. It returns an error, and so causes a retry,
// while Dwolla or another replica may not know the Customer yet.
func (i *Inbox) work(ctx context.Context, event customerdb.WebhookEvent) (work, error) {
	effect := customerdb.EventResult{CustomerID: event.CustomerID, Began: event.Unlinks, ChangedAt: event.Created}
	if status := event.Topic.Status(); status != "" {
		effect.Status = string(status)
		return work{effect, "status"}, nil
	}
	customer, err := clienttoken.ParseCustomerID(i.config.API, event.CustomerID)
	if err != nil { // from an earlier environment
		return work{customerdb.EventResult{}, "unmatched"}, nil //nolint:nilerr // waiting cannot help
	}
	read, err := i.config.Dwolla.GetCustomer(ctx, customer)
	if errors.Is(err, clienttoken.ErrUnknownCustomer) && time.Since(event.Received) > unknownFor {
		return work{customerdb.EventResult{}, "unmatched"}, nil
	} else if err != nil {
		return work{}, fmt.Errorf("reading the Customer: %w", err)
	}
	effect.Status = string(cmp.Or(read.Status, clienttoken.StatusUnverified))
	if event.Topic != clienttoken.TopicCustomerCreated || i.config.Enrollment == nil {
		return work{effect, "status"}, nil
	}
	effect.UserID, err = i.config.Enrollment.expected(ctx, read.CorrelationID)
	if errors.Is(err, customerdb.ErrNoUser) || errors.Is(err, errNotProven) && time.Since(event.Received) > unprovenFor {
		effect.UserID = ""
		return work{effect, "unmatched"}, nil
	}
	return work{effect, "linked"}, err
}

// tidyEvery is the interval for deleting old events, gaugeEvery the one for measuring
// the queue.
const (
	tidyEvery  = 10 * time.Minute
	gaugeEvery = 5 * time.Second
)

func (i *Inbox) tidy(ctx context.Context) {
	var tidied time.Time
	for ctx.Err() == nil {
		if now := time.Now(); now.Sub(tidied) >= tidyEvery {
			tidied = now
			_, _ = i.config.Store.ForgetEvents(ctx, now.Add(-rememberEvents)) // on error, next time
		}
		i.measure(ctx)
		select {
		case <-time.After(gaugeEvery):
		case <-ctx.Done():
		}
	}
}

func (i *Inbox) measure(ctx context.Context) {
	queue, err := i.config.Store.Backlog(ctx)
	if err != nil {
		return // keep the gauges; readiness reports the outage
	}
	age := 0.0
	if queue.Depth > 0 {
		age = max(0, time.Since(queue.Oldest).Seconds())
	}
	i.metrics.depth.Set(float64(queue.Depth))
	i.metrics.oldest.Set(age)
	i.metrics.measured.Set(unixTime(time.Now()))
	i.metrics.arrived(queue.Latest)
}
