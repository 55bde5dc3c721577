package emulator

import "time"

// WebhookFault is an injected fault in the delivery of webhooks. It is chosen when
// the event is created, and affects only that event.
type WebhookFault struct {
	// Times is the number of affected events. Zero: all until
	// [Emulator.ClearFaults].
	Times int
	// Twice delivers the event twice, concurrently.
	Twice bool
	// WrongSignature signs each attempt with another secret.
	WrongSignature bool
	// Delay is the pause before the first attempt.
	Delay time.Duration
	// Hold keeps the event until [Emulator.ReleaseWebhooks], and overrides Delay.
	Hold bool
}

// InjectWebhookFault sets the fault of webhooks, and replaces an earlier one.
// [Emulator.ClearFaults] ends it.
func (e *Emulator) InjectWebhookFault(f WebhookFault) {
	e.webhooks.misbehave(f)
}

// ReleaseWebhooks delivers the held events one by one, the newest first. Each waits
// only for the first attempt of the one before, not for its retries.
func (e *Emulator) ReleaseWebhooks() { e.webhooks.release() }
