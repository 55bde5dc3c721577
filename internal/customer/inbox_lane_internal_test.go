package customer

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"dropgate/internal/customer/customerdb"
)

func TestIdleLaneAsksOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		l := newLane(func(context.Context, time.Time, time.Duration) (customerdb.WebhookEvent, error) {
			asked.Add(1)
			return customerdb.WebhookEvent{}, customerdb.ErrNoEvent
		}, nil, &queueFault{})
		ctx, stop := context.WithTimeout(t.Context(), time.Minute-time.Millisecond)
		defer stop()
		l.run(ctx)
		if got := asked.Load(); got != inboxWorkers+59 {
			t.Errorf("an idle lane asked %d times in a minute, want %d at its start and 59 later", got, inboxWorkers)
		}
	})
}

// Another replica has stored the events, so nothing but the interval wakes a worker.
func TestEventsOfAnotherReplicaWakeAllWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var due, busy atomic.Int64
		l := newLane(func(context.Context, time.Time, time.Duration) (customerdb.WebhookEvent, error) {
			if due.Add(-1) < 0 {
				due.Add(1)
				return customerdb.WebhookEvent{}, customerdb.ErrNoEvent
			}
			return customerdb.WebhookEvent{}, nil
		}, func(ctx context.Context, _ customerdb.WebhookEvent) {
			busy.Add(1)
			<-ctx.Done()
		}, &queueFault{})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			l.run(ctx)
		}()
		synctest.Wait() // all workers sleep
		due.Store(2 * inboxWorkers)
		<-time.After(inboxPoll)
		synctest.Wait()
		if got := busy.Load(); got != inboxWorkers {
			t.Errorf("%d workers process events, want %d", got, inboxWorkers)
		}
		stop()
		<-ended
	})
}

func TestWorkersReportTheStateOfTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		fault := &queueFault{}
		next := func(context.Context, time.Time, time.Duration) (customerdb.WebhookEvent, error) {
			if down.Load() {
				return customerdb.WebhookEvent{}, errors.New("no such host")
			}
			return customerdb.WebhookEvent{}, customerdb.ErrNoEvent
		}
		lanes := []lane{newLane(next, nil, fault), newLane(next, nil, fault)}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		for _, l := range lanes {
			running.Go(func() { l.run(ctx) })
		}
		for _, isDown := range []bool{true, false, true} {
			down.Store(isDown)
			<-time.After(2 * inboxPoll)
			synctest.Wait()
			if err := fault.get(); (err != nil) != isDown {
				t.Errorf("the queue is down: %t; its state is %v", isDown, err)
			}
		}
		stop()
		running.Wait()
		if err := fault.get(); err == nil || err.Error() != "no such host" {
			t.Errorf("the end of the workers changed the state to %v", err)
		}
	})
}
