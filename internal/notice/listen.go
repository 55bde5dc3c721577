package notice

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/redis/go-redis/v9"
)

// listen follows the channel, and starts again after each failure.
func (b *Bus) listen(ctx context.Context) {
	for failing := false; ctx.Err() == nil; {
		err := b.follow(ctx, func() {
			b.metrics.subscribed.Set(1)
			b.note(&b.listening, nil)
			if failing {
				failing = false
				b.config.Logger.Debug().Msg("notices: subscribed again")
			}
		})
		b.metrics.subscribed.Set(0)
		if ctx.Err() != nil {
			return
		}
		b.note(&b.listening, err)
		if !failing {
			failing = true
			b.config.Logger.Debug().Err(err).Msg("notices: not subscribed, changes by other replicas take up to CUSTOMER_CACHE")
		}
		_ = pause(ctx, retryEvery)
	}
}

var errSilent = errors.New("the connection is silent")

// follow subscribes and receives until the connection breaks. Each subscription may
// follow a gap.
func (b *Bus) follow(ctx context.Context, subscribed func()) error {
	channel := b.config.Client.Subscribe(ctx, b.config.Channel)
	stop := context.AfterFunc(ctx, func() { _ = channel.Close() })
	defer func() {
		stop()
		_ = channel.Close()
	}()
	for pinged := false; ; {
		got, err := channel.ReceiveTimeout(ctx, silence)
		timedOut := false
		if timeout, ok := errors.AsType[net.Error](err); ok {
			timedOut = timeout.Timeout()
		}
		switch {
		case timedOut && pinged:
			return errSilent
		case timedOut:
			if err := channel.Ping(ctx); err != nil {
				return fmt.Errorf("pinging: %w", err)
			}
		case err != nil:
			return fmt.Errorf("receiving: %w", err)
		}
		pinged = timedOut
		switch got := got.(type) {
		case *redis.Subscription:
			subscribed()
			signal(b.missed)
		case *redis.Message:
			b.receive(got.Payload)
		}
	}
}

// receive reads a message. One that it cannot read may come from a replica with
// another secret, so notices may be missing.
func (b *Bus) receive(message string) {
	got, ok := b.open(message)
	switch {
	case !ok:
		b.metrics.count(unreadable)
		signal(b.missed)
	case got.sender == b.sender: // it comes back to its sender, too
	case got.notice == Notice{}:
		b.metrics.count(received)
		signal(b.missed)
	default:
		b.config.Receive(got.notice)
		b.metrics.count(received)
	}
}

// open reads a message with one of the present secrets.
func (b *Bus) open(message string) (sealed, bool) {
	for _, seal := range *b.seals.Load() {
		if got, ok := seal.open(message); ok {
			return got, true
		}
	}
	return sealed{}, false
}
