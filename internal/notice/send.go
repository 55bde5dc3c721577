package notice

import (
	"context"
	"fmt"
	"time"
)

// send publishes what waits.
func (b *Bus) send(ctx context.Context) {
	// The end of ctx leaves some time for what waits.
	sending, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	context.AfterFunc(ctx, func() { time.AfterFunc(lastWords, stop) })
	failing := false
	for {
		select {
		case <-b.wake:
		case <-ctx.Done():
			_ = b.sendWaiting(sending) // the others have their caches' lifetime
			return
		}
		err := b.sendWaiting(sending)
		b.note(&b.sending, err)
		if err != nil && ctx.Err() == nil && !failing {
			b.config.Logger.Debug().Err(err).Msg("notices: Redis failed, other replicas learn of changes within CUSTOMER_CACHE")
		} else if err == nil && failing {
			b.config.Logger.Debug().Msg("notices: Redis takes notices again")
		}
		if failing = err != nil; failing {
			_ = pause(ctx, retryEvery)
			signal(b.wake)
		}
	}
}

// sendWaiting publishes the waiting notices. After a failure it forgets them: one
// notice will say that some are missing.
func (b *Bus) sendWaiting(ctx context.Context) error {
	b.mu.Lock()
	notices, overflow := b.waiting, b.overflow
	b.waiting, b.overflow = nil, false
	b.mu.Unlock()
	if overflow {
		notices = []Notice{{}} // stands for all
	}
	for _, n := range notices {
		if err := b.publish(ctx, n); err != nil {
			b.mu.Lock()
			b.overflow = true
			b.mu.Unlock()
			return err
		}
	}
	return nil
}

func (b *Bus) publish(ctx context.Context, n Notice) error {
	ctx, cancel := context.WithTimeout(ctx, sendWithin)
	defer cancel()
	if err := b.config.Client.Publish(ctx, b.config.Channel, (*b.seals.Load())[0].seal(n)).Err(); err != nil {
		b.metrics.count(failed)
		return fmt.Errorf("publishing: %w", err)
	}
	b.metrics.count(sent)
	return nil
}
