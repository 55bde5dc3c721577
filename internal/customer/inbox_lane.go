package customer

import (
	"context"
	"errors"
	"sync"
	"time"

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
			l.fault.set(nil)
			l.wake() // more events may be due
			l.process(ctx, event)
			continue
		}
		if errors.Is(err, customerdb.ErrNoEvent) {
			l.fault.set(nil)
		} else if ctx.Err() == nil {
			l.fault.set(err)
		}
		select {
		case <-l.arrived:
		case <-ctx.Done():
		}
	}
}

// queueFault is the state of the queue, as the workers of all lanes see it. They log
// nothing: the owner of the database logs its outage once.
type queueFault struct {
	mu   sync.Mutex
	last error // nil while the queue answers
}

func (f *queueFault) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = err
}

func (f *queueFault) get() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last
}
