package dwolla

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// retryReason says why a call is retried. It is a metric label.
type retryReason string

const (
	noRetry       retryReason = ""
	badConnection retryReason = "connection"
	badToken      retryReason = "access_token"
)

// retryReasons lists all reasons except noRetry. Digits are HTTP statuses.
func retryReasons() []retryReason {
	return []retryReason{badConnection, "500", "502", "503", "504", badToken}
}

// retryReason returns why a second attempt may succeed, or noRetry. Timeouts are
// not retried, nor faults that will recur (a bad certificate, an oversized or
// unusable answer), nor answers with Retry-After. A cut or malformed answer counts
// as a connection fault, because net/http reports a reset HTTP/2 stream the same
// way.
func (e *Error) retryReason() retryReason {
	switch {
	case e.accessTokenRejected():
		return badToken
	case e.Status == http.StatusTooManyRequests, e.retryAfter > 0:
		return noRetry
	case e.Err != nil:
		certificate, _ := errors.AsType[*tls.CertificateVerificationError](e.Err)
		if certificate != nil || e.timedOut() || e.unusable() {
			return noRetry
		}
		return badConnection
	}
	switch e.Status {
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return retryReason(strconv.Itoa(e.Status))
	}
	return noRetry
}

// timedOut reports whether the time ran out before the whole answer arrived.
func (e *Error) timedOut() bool {
	var netErr net.Error
	return errors.Is(e.Err, context.DeadlineExceeded) || errors.As(e.Err, &netErr) && netErr.Timeout()
}

// retryPause is the longest pause before a second attempt. The pause is random up
// to this limit (full jitter), to spread calls after a shared fault. It is short
// because the caller waits.
const retryPause = 100 * time.Millisecond

// upTo returns a random duration up to d.
func upTo(d time.Duration) time.Duration {
	return rand.N(d + 1) //nolint:gosec // spreads load; guessing it gains nothing
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// The retry budget is a tenth of the calls of the last minute, so retries add at
// most a tenth of load in an outage. The floor lets a quiet service retry too.
const (
	budgetShare   = 10
	budgetFloor   = 10
	budgetBucket  = 5 * time.Second
	budgetBuckets = 12
)

// budget counts the calls and the retries of the last minute.
type budget struct {
	mu      sync.Mutex
	begin   time.Time
	now     int64 // index of the current bucket, from begin on
	buckets [budgetBuckets]spending
	total   spending // of all buckets
}

type spending struct{ calls, retries int64 }

func newBudget() *budget { return &budget{begin: time.Now()} }

// count counts a call.
func (b *budget) count() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.current().calls++
	b.total.calls++
}

// spend takes one retry from the budget, and reports whether one was left.
func (b *budget) spend() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	bucket := b.current()
	if b.total.retries >= max(budgetFloor, b.total.calls/budgetShare) {
		return false
	}
	bucket.retries++
	b.total.retries++
	return true
}

// current drops buckets older than a minute and returns the current one. The
// caller holds mu.
func (b *budget) current() *spending {
	now := int64(time.Since(b.begin) / budgetBucket)
	b.now = max(b.now, now-budgetBuckets) // all older buckets are dropped anyway
	for b.now < now {
		b.now++
		old := &b.buckets[b.now%budgetBuckets]
		b.total.calls -= old.calls
		b.total.retries -= old.retries
		*old = spending{}
	}
	return &b.buckets[b.now%budgetBuckets]
}
