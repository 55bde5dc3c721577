package emulator

import "time"

// WebhookFault is one way to deliver webhooks badly. It strikes when the event
// happens, and what it does it does to this event alone.
type WebhookFault struct {
	// Times is how many events it strikes. Zero: all until [Emulator.ClearFaults].
	Times int
	// Twice delivers the event two times, at the same time.
	Twice bool
	// WrongSignature signs each attempt with another secret.
	WrongSignature bool
	// Delay is waited before the first attempt.
	Delay time.Duration
	// Hold keeps the event back until [Emulator.ReleaseWebhooks]. Delay does not
	// count then.
	Hold bool
}

// InjectWebhookFault gives the webhooks this fault in the place of the one that
// they had. [Emulator.ClearFaults] ends it.
func (e *Emulator) InjectWebhookFault(f WebhookFault) {
	e.webhooks.misbehave(f)
}

// ReleaseWebhooks delivers what was held back, one after the other, the newest
// event first. An event that is not acknowledged is tried again later, as
// always, and the next one does not wait for that.
func (e *Emulator) ReleaseWebhooks() { e.webhooks.release() }
