package customer

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"dropgate/internal/customer/customerdb"
)

// lane is a kind of event with its own workers.
type lane struct {
	next    nextEvent
	process func(context.Context, customerdb.WebhookEvent)
	fault   *queueFault
	arrived chan struct{} // wakes a worker
}

// nextEvent claims the next event that is due, or returns customerdb.ErrNoEvent.
type nextEvent func(ctx context.Context, now time.Time, lease time.Duration) (customerdb.WebhookEvent, error)

const (
	inboxWorkers = 3 // per lane
	// inboxPoll is the interval between looks at the queue, for retries and for events
	// of other replicas. One worker looks for all, since every idle replica does so.
	inboxPoll = time.Second
)

func newLane(next nextEvent, process func(context.Context, customerdb.WebhookEvent), fault *queueFault) lane {
	return lane{next, process, fault, make(chan struct{}, inboxWorkers)}
}

// wake wakes a worker if one sleeps.
func (l lane) wake() {
	select {
	case l.arrived <- struct{}{}:
	default: // enough wake-ups wait
	}
}

// run runs the workers, and wakes one of them at each interval.
func (l lane) run(ctx context.Context) {
	var workers sync.WaitGroup
	for range inboxWorkers {
		workers.Go(func() { l.work(ctx) })
	}
	tick := time.NewTicker(inboxPoll)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-tick.C:
			l.wake()
		case <-ctx.Done():
		}
	}
	workers.Wait()
}

func (l lane) work(ctx context.Context) {
	for ctx.Err() == nil {
		event, err := l.next(ctx, time.Now(), inboxLease)
		if err == nil {
			l.fault.ended()
			l.wake() // more events may be due
			l.process(ctx, event)
			continue
		}
		if errors.Is(err, customerdb.ErrNoEvent) {
			l.fault.ended()
		} else if ctx.Err() == nil {
			l.fault.began(err)
		}
		select {
		case <-l.arrived:
		case <-ctx.Done():
		}
	}
}

// queueFaultEvery limits the lines about a queue that fails and recovers.
const queueFaultEvery = time.Minute

// queueFault logs an outage of the queue once, for all workers of all lanes.
type queueFault struct {
	logger zerolog.Logger

	mu     sync.Mutex
	down   bool
	logged time.Time
}

func (f *queueFault) began(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.down && time.Since(f.logged) >= queueFaultEvery {
		f.logged = time.Now()
		f.logger.Error().Err(err).Msg("the queue of webhook events is unavailable")
	}
	f.down = true
}

func (f *queueFault) ended() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = false
}
