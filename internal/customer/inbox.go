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
)

// InboxConfig is what an Inbox needs. All fields but Enrollment are required.
type InboxConfig struct {
	// Read verifies a webhook's signature and reads its body. The topic of what it
	// returns is of a closed set: it becomes a metric's label. The error is a
	// *clienttoken.Refusal.
	Read  func(signature string, body []byte) (customerdb.WebhookEvent, error)
	Store *customerdb.Database
	// Enrollment is nil where others say whose Customer is whose. Then nobody gets
	// a new Customer linked.
	Enrollment *Enrollment
	Dwolla     CustomerReader
	Changed    func(userID string, customer clienttoken.CustomerURL) // what is remembered of them is no longer true
	Notifier   *ChangeNotifier                                       // is told of every change; may be nil
	API        clienttoken.API
	Logger     zerolog.Logger
	Registerer prometheus.Registerer
}

// Inbox takes in Dwolla's webhooks. What was acknowledged is in the database,
// and waits there until one of the replicas has done what it asks for: nothing
// is lost when a process ends, however it ends.
type Inbox struct {
	config  InboxConfig
	metrics inboxMetrics
	lanes   []lane
}

// lane is a kind of event with workers of its own.
type lane struct {
	next    func(ctx context.Context, now time.Time, lease time.Duration) (customerdb.WebhookEvent, error)
	arrived chan struct{} // wakes a worker
}

const (
	inboxWorkers = 3 // of each lane
	// inboxPoll is how often the queue is looked at for what other replicas
	// have left, or what is to be tried again.
	inboxPoll = time.Second
	// inboxLease is how long a worker has for one event until another one takes
	// it over. It is longer than a call to Dwolla may take.
	inboxLease = time.Minute
	// rememberEvents is how long the id of a used event is remembered: Dwolla sends
	// an event again for 72 hours, and an operator at any time. An event that comes
	// later is used again, which changes nothing: the time of a status stays.
	rememberEvents = 4 * 24 * time.Hour
	// aheadOfUs is how far Dwolla's clock may be ahead of ours. The order of later
	// events says nothing about when they happened.
	aheadOfUs = 5 * time.Minute
	// keepTrying is how long an event is tried again from its arrival.
	keepTrying = 4 * 24 * time.Hour
	// unknownFor is how long an event has to wait until Dwolla's "no such Customer" is
	// believed: what Dwolla reads may be behind what it tells.
	unknownFor = time.Hour
	// unprovenFor is how long one has to wait until a correlationId that was handed
	// out, and that no key here proves, is believed to be of a key that is gone:
	// while keys are rotated, another replica may have it.
	unprovenFor = 24 * time.Hour
	// longestRetry is how long an event waits between two attempts, at most.
	longestRetry = 5 * time.Minute
)

// NewInbox returns an inbox. Nothing is done with what arrives until Run.
func NewInbox(c InboxConfig) *Inbox {
	return &Inbox{config: c, metrics: newInboxMetrics(c.Registerer), lanes: []lane{
		{c.Store.ClaimEvent, make(chan struct{}, inboxWorkers)},
		{c.Store.ClaimStatusEvent, make(chan struct{}, inboxWorkers)},
	}}
}

// Receive takes in one webhook. When it returns nil the webhook is kept, or was
// before, or is about nothing that matters here.
func (i *Inbox) Receive(ctx context.Context, signature string, body []byte) error {
	event, err := i.config.Read(signature, body)
	if err != nil {
		i.metrics.received.WithLabelValues(string(clienttoken.OtherTopic), "refused").Inc()
		return err
	}
	outcome, err := i.keep(ctx, event)
	i.metrics.received.WithLabelValues(string(event.Topic), outcome).Inc()
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
	added, err := i.config.Store.AddEvent(ctx, event, now)
	switch {
	case err != nil:
		return "unavailable", storeFault(ctx, err)
	case !added:
		return "duplicate", nil
	}
	for _, lane := range i.lanes {
		select {
		case lane.arrived <- struct{}{}:
		default: // all its workers are awake
		}
	}
	return "queued", nil
}

// fromTheFuture dates an event to its arrival: otherwise it would be the latest
// one for ever. A suspension counts. For every other topic Dwolla is asked for
// the status, because nobody knows which event was later.
func (i *Inbox) fromTheFuture(event customerdb.WebhookEvent, now time.Time) customerdb.WebhookEvent {
	i.config.Logger.Warn().Str("event_id", event.ID).Str("topic", string(event.Topic)).Time("created", event.Created).
		Msg("a webhook is from the future and counts from now: check this machine's clock")
	event.Created = now
	if event.Topic != clienttoken.TopicCustomerCreated && !event.Topic.Status().Inactive() {
		event.Topic = clienttoken.OtherTopic
	}
	return event
}

// Run does what the kept webhooks ask for, until ctx ends.
func (i *Inbox) Run(ctx context.Context) {
	var running sync.WaitGroup
	for _, lane := range i.lanes {
		for range inboxWorkers {
			running.Go(func() { i.takeTurns(ctx, lane) })
		}
	}
	running.Go(func() { i.tidy(ctx) })
	running.Wait()
}

func (i *Inbox) takeTurns(ctx context.Context, lane lane) {
	down := false
	for ctx.Err() == nil {
		event, err := lane.next(ctx, time.Now(), inboxLease)
		if err == nil {
			i.process(ctx, event)
			continue
		}
		if failed := !errors.Is(err, customerdb.ErrNoEvent) && ctx.Err() == nil; failed != down {
			if down = failed; down { // once, until it is over
				i.config.Logger.Error().Err(err).Msg("the queue of webhooks cannot be read")
			}
		}
		select {
		case <-lane.arrived:
		case <-time.After(inboxPoll):
		case <-ctx.Done():
		}
	}
}

// process does what one event asks for, or puts it back.
func (i *Inbox) process(ctx context.Context, event customerdb.WebhookEvent) {
	ctx = clienttoken.Cause{Mode: "webhook", RequestID: event.ID}.NewContext(ctx)
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
	case errors.Is(err, customerdb.ErrSettled): // by another replica, which took our lease over
		return
	case ctx.Err() != nil: // it is due again when the lease is over
		return
	default:
		work.outcome = i.postpone(ctx, event, err)
	}
	i.metrics.processed.WithLabelValues(string(event.Topic), work.outcome).Inc()
	i.config.Logger.Info().Str("event_id", event.ID).Str("topic", string(event.Topic)).Str("customer", event.CustomerID).
		Str("outcome", work.outcome).Msg("webhook")
}

// changed makes this replica forget what an event may have changed, also when
// nobody knows whether it has. What it did change is news.
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
		i.config.Notifier.Linked(effect.UserID, customer)
	}
	i.config.Notifier.Status(customer, clienttoken.CustomerStatus(effect.Status))
}

// postpone lets an event wait for its next attempt, or gives it up after four
// days of attempts. It returns what that is called in the metric.
func (i *Inbox) postpone(ctx context.Context, event customerdb.WebhookEvent, err error) (outcome string) {
	if time.Since(event.Received) > keepTrying {
		i.config.Logger.Error().Str("event_id", event.ID).Str("topic", string(event.Topic)).Str("customer", event.CustomerID).Err(err).
			Msg("a webhook could not be processed for four days and is given up: look at this Customer at Dwolla")
		_ = i.config.Store.Settle(ctx, event.ID, customerdb.EventResult{}, time.Now()) // or it is given up next time
		return "abandoned"
	}
	wait := min(time.Second<<min(event.Attempts, 16), longestRetry)
	wait = wait/2 + rand.N(wait/2+1) //nolint:gosec // spreads attempts, decides nothing
	if failure, ok := errors.AsType[*clienttoken.Failure](err); ok {
		wait = max(wait, failure.RetryAfter)
	}
	i.config.Logger.Warn().Str("event_id", event.ID).Int("attempts", event.Attempts).
		Dur("retry_ms", wait).Err(err).Msg("a webhook has to be tried again")
	_ = i.config.Store.PostponeEvent(ctx, event.ID, time.Now().Add(wait)) // or its lease ends
	return "retried"
}

// work is what an event asks for, and what that is called in the metric.
type work struct {
	effect  customerdb.EventResult
	outcome string
}

// recovered is work whose panic is an error: nobody waits for it, so it would
// end the process, and the next one, which has to do the same work.
func (i *Inbox) recovered(ctx context.Context, event customerdb.WebhookEvent) (w work, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("a webhook ended in a panic: %v\n%s", p, debug.Stack())
		}
	}()
	return i.work(ctx, event)
}

// work finds out what an event asks for. What Dwolla or another replica does not
// know yet is tried again for a while.
func (i *Inbox) work(ctx context.Context, event customerdb.WebhookEvent) (work, error) {
	effect := customerdb.EventResult{CustomerID: event.CustomerID, Began: event.Unlinks, ChangedAt: event.Created}
	if status := event.Topic.Status(); status != "" {
		effect.Status = string(status)
		return work{effect, "status"}, nil
	}
	customer, err := clienttoken.ParseCustomerID(i.config.API, event.CustomerID)
	if err != nil { // of an environment that was configured before
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

// tidyEvery is how often old events are forgotten, and gaugeEvery how often the
// queue is measured.
const (
	tidyEvery  = 10 * time.Minute
	gaugeEvery = 5 * time.Second
)

func (i *Inbox) tidy(ctx context.Context) {
	var tidied time.Time
	for ctx.Err() == nil {
		if now := time.Now(); now.Sub(tidied) >= tidyEvery {
			tidied = now
			_, _ = i.config.Store.ForgetEvents(ctx, now.Add(-rememberEvents)) // or next time
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
		return // the gauges stay: readiness tells that the database is down
	}
	age := 0.0
	if queue.Depth > 0 {
		age = max(0, time.Since(queue.Oldest).Seconds())
	}
	i.metrics.depth.Set(float64(queue.Depth))
	i.metrics.oldest.Set(age)
}

type inboxMetrics struct {
	received  *prometheus.CounterVec // topic, outcome
	processed *prometheus.CounterVec // topic, outcome
	depth     prometheus.Gauge
	oldest    prometheus.Gauge
}

func newInboxMetrics(r prometheus.Registerer) inboxMetrics {
	m := inboxMetrics{
		received: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dropgate_webhooks_total",
			Help: "Webhooks by topic (other: none of those that are known) and outcome: queued, duplicate, ignored (not about a Customer itself), refused (no good signature or body) or unavailable.",
		}, []string{"topic", "outcome"}),
		processed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dropgate_webhooks_processed_total",
			Help: "Attempts to do what a queued webhook asks for by topic and outcome: linked, status, unmatched (a new Customer of nobody here), conflict (its user or the Customer is linked otherwise), ignored, retried or abandoned.",
		}, []string{"topic", "outcome"}),
		depth: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "dropgate_webhook_queue_depth",
			Help: "Webhooks that wait in the database, for all replicas.",
		}),
		oldest: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "dropgate_webhook_queue_oldest_seconds",
			Help: "Age of the webhook that has waited longest, or 0.",
		}),
	}
	r.MustRegister(m.received, m.processed, m.depth, m.oldest)
	return m
}
