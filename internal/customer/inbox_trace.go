package customer

import (
	"context"
	"time"

	"dropgate/internal/customer/customerdb"
	"dropgate/internal/tracing"
)

// store adds the event to the queue, in a span of its own.
func (i *Inbox) store(ctx context.Context, event customerdb.WebhookEvent, now time.Time) (added bool, err error) {
	ctx, span := tracing.Start(ctx, "queue")
	defer span.End()
	if added, err = i.config.Store.AddEvent(ctx, event, now); err != nil {
		span.Fail("unavailable")
	}
	return added, err
}

// trace begins the span of one attempt to process an event.
func (i *Inbox) trace(ctx context.Context, event customerdb.WebhookEvent) (context.Context, tracing.Span) {
	ctx, span := i.config.Tracer.Process(ctx, "webhook", event.ID, event.Attempts)
	span.Set(tracing.Topic, string(event.Topic))
	span.SetInt(tracing.Attempt, event.Attempts)
	return ctx, span
}
