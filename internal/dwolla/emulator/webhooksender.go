package emulator

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	maxWebhooks        = 10_000
	webhooksAtOnce     = 10
	webhookTimeout     = 10 * time.Second
	webhookRetries     = 8
	defaultFirstRetry  = 100 * time.Millisecond
	webhookDrainAtMost = 64 << 10
)

// webhookSender delivers webhooks in the background. While idle it has no goroutine
// and no timer.
type webhookSender struct {
	client     *http.Client
	firstRetry time.Duration

	// mu guards the fields below. Take it after the emulator's mutex, never before.
	// It is not held while sending.
	mu      sync.Mutex
	changed *sync.Cond // a webhook was delivered, given up or dropped

	address, secret string // of the subscription; empty: none
	fault           WebhookFault
	sent            *boundedMap[*Webhook] // by event id

	queue   []*delivery            // ready to send
	open    map[*delivery]struct{} // queued, being sent, or waiting
	held    []*delivery            // held by a fault, oldest first
	sending int
}

// delivery is one pending webhook.
type delivery struct {
	webhook  *Webhook
	forged   bool // sign with another secret
	failures int
	timer    *time.Timer        // queues the next attempt; may be nil
	cancel   context.CancelFunc // ends the attempt; nil before the first
	next     *delivery          // queued after the first attempt of this one
}

func newWebhookSender(o Options) *webhookSender {
	p := &webhookSender{
		client: &http.Client{
			Transport: o.WebhookTransport,
			// To Dwolla a redirect is a failure.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		firstRetry: cmp.Or(o.WebhookFirstRetry, defaultFirstRetry),
		sent:       newBoundedMap[*Webhook](maxWebhooks),
		open:       map[*delivery]struct{}{},
	}
	if o.WebhookTransport == nil {
		// No proxy: webhooks for this machine stay on it.
		p.client.Transport = &http.Transport{MaxIdleConnsPerHost: webhooksAtOnce, IdleConnTimeout: time.Minute}
	}
	p.changed = sync.NewCond(&p.mu)
	return p
}

func (p *webhookSender) subscribe(address, secret string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.address, p.secret = address, secret
}

func (p *webhookSender) subscribed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.address != ""
}

// unsubscribe drops all pending webhooks.
func (p *webhookSender) unsubscribe() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.address, p.secret, p.queue, p.held = "", "", nil, nil
	for d := range p.open {
		if d.timer != nil {
			d.timer.Stop()
		}
		if d.cancel != nil {
			d.cancel()
		}
	}
	clear(p.open)
	p.changed.Broadcast()
}

// waitIdle waits for attempts in progress.
func (p *webhookSender) waitIdle() {
	p.mu.Lock()
	for p.sending > 0 {
		p.changed.Wait()
	}
	p.mu.Unlock()
	p.client.CloseIdleConnections()
}

func (p *webhookSender) await(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		p.mu.Lock() // so the broadcast cannot fall between the check and the wait below
		defer p.mu.Unlock()
		p.changed.Broadcast()
	})
	defer stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.open) > 0 {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("emulator: %d webhooks are pending: %w", len(p.open), err)
		}
		p.changed.Wait()
	}
	return nil
}

func (p *webhookSender) list() []Webhook {
	p.mu.Lock()
	defer p.mu.Unlock()
	ids := p.sent.oldestFirst()
	all := make([]Webhook, len(ids))
	for i, id := range ids {
		all[i] = *p.sent.values[id]
	}
	return all
}

func (p *webhookSender) misbehave(f WebhookFault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
}

// nextFault returns the fault of the next event.
func (p *webhookSender) nextFault() WebhookFault {
	fault := p.fault
	if fault.Times > 0 {
		p.fault.Times--
		if p.fault.Times == 0 {
			p.fault = WebhookFault{}
		}
	}
	return fault
}

// post delivers a new event, with the present fault.
func (p *webhookSender) post(w Webhook) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fault := p.nextFault()
	p.sent.put(w.ID, &w)
	copies := 1
	if fault.Twice {
		copies = 2
	}
	for range copies {
		d := &delivery{webhook: &w, forged: fault.WrongSignature}
		switch {
		case p.full():
		case fault.Hold:
			p.held = append(p.held, d)
		default:
			p.wait(d, fault.Delay)
		}
	}
}

// full reports whether too many webhooks are pending to send another.
func (p *webhookSender) full() bool { return len(p.open)+len(p.held) >= maxWebhooks }

func (p *webhookSender) redeliver(id string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	w, known := p.sent.get(id)
	switch {
	case !known:
		return fmt.Errorf("emulator: no event %q was sent", id)
	case p.address == "":
		return fmt.Errorf("emulator: no subscriber for event %s", id)
	case p.full():
		return fmt.Errorf("emulator: %d webhooks are already pending", maxWebhooks)
	}
	p.wait(&delivery{webhook: w}, 0)
	return nil
}

func (p *webhookSender) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	held := p.held
	p.held = nil
	slices.Reverse(held)
	for i, d := range held {
		p.open[d] = struct{}{}
		if i > 0 {
			held[i-1].next = d
		}
	}
	if len(held) > 0 {
		p.enqueue(held[0])
	}
}

// wait queues d after a delay. The caller holds the lock, here and below.
func (p *webhookSender) wait(d *delivery, delay time.Duration) {
	p.open[d] = struct{}{}
	if delay <= 0 {
		p.enqueue(d)
		return
	}
	d.timer = time.AfterFunc(delay, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if _, open := p.open[d]; open {
			p.enqueue(d)
		}
	})
}

func (p *webhookSender) enqueue(d *delivery) {
	p.queue = append(p.queue, d)
	p.send()
}

// send starts attempts up to the limit.
func (p *webhookSender) send() {
	for p.sending < webhooksAtOnce && len(p.queue) > 0 {
		d := p.queue[0]
		p.queue = p.queue[1:]
		p.sending++
		d.webhook.Attempts++
		secret := p.secret
		if d.forged {
			secret += " forged"
		}
		ctx, cancel := context.WithTimeout(context.Background(), webhookTimeout)
		d.cancel = cancel
		go p.attempt(ctx, d, webhookRequest{p.address, Sign(secret, d.webhook.Body), d.webhook.Topic, d.webhook.Body})
	}
}

// webhookRequest holds the values of one attempt.
type webhookRequest struct{ address, signature, topic, body string }

func (p *webhookSender) attempt(ctx context.Context, d *delivery, l webhookRequest) {
	delivered := p.deliver(ctx, l)
	p.mu.Lock()
	defer p.mu.Unlock()
	d.cancel()
	p.sending--
	_, open := p.open[d] // false after unsubscribe
	if open {
		p.follow(d)
	}
	switch {
	case delivered:
		d.webhook.Delivered = true
		delete(p.open, d)
	case open:
		p.retry(d)
	}
	p.send()
	p.changed.Broadcast()
}

// follow queues the delivery waiting for the first attempt of d.
func (p *webhookSender) follow(d *delivery) {
	if d.next != nil {
		p.queue = append(p.queue, d.next)
		d.next = nil
	}
}

// retry schedules d again, or gives it up.
func (p *webhookSender) retry(d *delivery) {
	if d.failures == webhookRetries {
		delete(p.open, d)
		return
	}
	p.wait(d, p.firstRetry<<d.failures)
	d.failures++
}

// deliver sends l and reports whether it was acknowledged.
func (p *webhookSender) deliver(ctx context.Context, l webhookRequest) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, l.address, strings.NewReader(l.body))
	if err != nil {
		return false
	}
	r.Header.Set("Content-Type", plainJSON)
	r.Header.Set("X-Dwolla-Topic", l.topic)
	r.Header.Set("X-Request-Signature-SHA-256", l.signature)
	resp, err := p.client.Do(r)
	if err != nil {
		return false
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.CopyN(io.Discard, resp.Body, webhookDrainAtMost) // lets the connection be reused
	return resp.StatusCode/100 == 2
}
