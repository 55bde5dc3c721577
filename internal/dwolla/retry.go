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

// retryReason is why a call is made a second time. It is a label of a metric.
type retryReason string

const (
	noRetry       retryReason = ""
	badConnection retryReason = "connection"
	badToken      retryReason = "access_token"
)

// retryReasons lists all of them but noRetry; those in digits are statuses.
func retryReasons() []retryReason {
	return []retryReason{badConnection, "500", "502", "503", "504", badToken}
}

// retryReason says whether a second attempt may do better. A connection fault is
// also an answer that ends in the middle, and one that is no HTTP: net/http does
// not tell the latter from a stream that an HTTP/2 server has reset. Not retried
// is what has taken all of its time, what will fail again (a certificate, an
// answer that is too large or cannot be used), and whatever Dwolla wants a
// pause after.
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

// timedOut reports whether time ran out before there was a whole answer.
func (e *Error) timedOut() bool {
	var netErr net.Error
	return errors.Is(e.Err, context.DeadlineExceeded) || errors.As(e.Err, &netErr) && netErr.Timeout()
}

// retryPause is the longest pause before a second attempt. It is any time up to
// that (full jitter), so that calls that failed together do not come back
// together. The caller waits, so it is short.
const retryPause = 100 * time.Millisecond

// upTo is a random time of at most d.
func upTo(d time.Duration) time.Duration {
	return rand.N(d + 1) //nolint:gosec // spreads load; nobody gains by guessing it
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

// What retries may cost: a tenth of the calls of the last minute, so that an
// outage gets a tenth more load and not twice as much. A service with little
// traffic may make a few whatever the tenth is.
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
	now     int64 // the bucket that is counted in, from begin on
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

// spend takes a retry from what is left, and reports whether there was one.
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

// current forgets what is older than a minute, and returns the bucket to count
// in. The caller holds mu.
func (b *budget) current() *spending {
	now := int64(time.Since(b.begin) / budgetBucket)
	b.now = max(b.now, now-budgetBuckets) // everything in between is forgotten the same
	for b.now < now {
		b.now++
		old := &b.buckets[b.now%budgetBuckets]
		b.total.calls -= old.calls
		b.total.retries -= old.retries
		*old = spending{}
	}
	return &b.buckets[b.now%budgetBuckets]
}
