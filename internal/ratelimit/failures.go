package ratelimit

import (
	"net/netip"
	"sync"
	"time"

	"dropgate/internal/bytecache"
)

// maxFailures bounds the memory of a Failures, in bytes: about 4000 addresses.
const maxFailures = 1 << 20

// Failures limits how often one address may fail at something expensive. Success is
// free. Each replica counts alone. It is safe for concurrent use.
type Failures struct {
	limit Limit
	now   func() time.Time

	mu     sync.Mutex
	filled *bytecache.Cache[netip.Addr, int64] // as in memory.filled
}

// NewFailures returns a limit on the failures of each address.
func NewFailures(limit Limit, now func() time.Time) *Failures {
	return &Failures{
		limit: limit, now: now,
		filled: bytecache.New[netip.Addr, int64](bytecache.Config{MaxBytes: maxFailures, Now: now}),
	}
}

// Check refuses an address after too many failures. The error is an *ExceededError.
func (f *Failures) Check(addr string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.check(network(addr))
}

// Note counts a failure of an address.
func (f *Failures) Note(addr string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.add(network(addr), f.limit.interval())
}

// Enter charges an address for a failure in advance, so that concurrent attempts
// cannot exceed the limit. After a success, call [Failures.Forgive]. The error is an
// *ExceededError; then nothing was charged.
func (f *Failures) Enter(addr string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.check(network(addr)); err != nil {
		return err
	}
	f.add(network(addr), f.limit.interval())
	return nil
}

// Forgive takes back what [Failures.Enter] charged.
func (f *Failures) Forgive(addr string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.add(network(addr), -f.limit.interval())
}

// add adds more, which may be negative, to the count. The caller holds mu.
func (f *Failures) add(key netip.Addr, more int64) {
	now := f.now()
	filled, _ := f.filled.Get(key)
	used := max(min(max(filled-now.UnixMicro(), 0)+more, f.limit.capacity()), 0)
	f.filled.Add(key, now.UnixMicro()+used, 0, now.Add(time.Duration(used)*time.Microsecond))
}

// check is Check without the lock. The caller holds mu.
func (f *Failures) check(key netip.Addr) error {
	filled, _ := f.filled.Get(key)
	left := f.limit.capacity() - max(filled-f.now().UnixMicro(), 0) - f.limit.interval()
	if left >= 0 {
		return nil
	}
	return &ExceededError{Scope: IP, Limit: f.limit, RetryAfter: time.Duration(-left) * time.Microsecond}
}

// network returns an IPv4 address, or the first address of an IPv6 /64, because one
// household or server usually has a whole /64 (RFC 6177). Texts that are not addresses
// share one zero value.
func network(addr string) netip.Addr {
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		return netip.Addr{}
	}
	if ip = ip.Unmap().WithZone(""); ip.Is4() {
		return ip
	}
	prefix, _ := ip.Prefix(64) // every IPv6 address has one
	return prefix.Masked().Addr()
}
