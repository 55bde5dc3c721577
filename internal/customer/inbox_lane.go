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
	logger  zerolog.Logger
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

func newLane(next nextEvent, process func(context.Context, customerdb.WebhookEvent), logger zerolog.Logger) lane {
	return lane{next, process, logger, make(chan struct{}, inboxWorkers)}
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
	down := false
	for ctx.Err() == nil {
		event, err := l.next(ctx, time.Now(), inboxLease)
		if err == nil {
			l.wake() // more events may be due
			l.process(ctx, event)
			continue
		}
		if failed := !errors.Is(err, customerdb.ErrNoEvent) && ctx.Err() == nil; failed != down {
			if down = failed; down { // log an outage once
				l.logger.Error().Err(err).Msg("the queue of webhook events is unavailable")
			}
		}
		select {
		case <-l.arrived:
		case <-ctx.Done():
		}
	}
}
