package ratelimit

import (
	"net/netip"
	"sync"
	"time"

	"dropgate/internal/bytecache"
)

// maxFailures bounds what a Failures remembers, in bytes: some 4000 addresses.
const maxFailures = 1 << 20

// Failures limits how often one address may fail at something that costs others.
// Who succeeds pays nothing. Each replica counts alone. It is safe for concurrent
// use.
type Failures struct {
	limit Limit
	now   func() time.Time

	mu     sync.Mutex
	filled *bytecache.Cache[netip.Addr, int64] // as in memory
}

// NewFailures returns a limit of so many failures of one address.
func NewFailures(limit Limit, now func() time.Time) *Failures {
	return &Failures{
		limit: limit, now: now,
		filled: bytecache.New[netip.Addr, int64](bytecache.Config{MaxBytes: maxFailures, Now: now}),
	}
}

// Check refuses an address that has failed too often. The error is an
// *ExceededError.
func (f *Failures) Check(addr string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	filled, _ := f.filled.Get(network(addr))
	left := f.limit.capacity() - max(filled-f.now().UnixMicro(), 0) - f.limit.interval()
	if left >= 0 {
		return nil
	}
	return &ExceededError{Scope: IP, Limit: f.limit, RetryAfter: time.Duration(-left) * time.Microsecond}
}

// Note counts a failure of an address.
func (f *Failures) Note(addr string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now, key := f.now(), network(addr)
	filled, _ := f.filled.Get(key)
	used := min(max(filled-now.UnixMicro(), 0)+f.limit.interval(), f.limit.capacity())
	f.filled.Add(key, now.UnixMicro()+used, 0, now.Add(time.Duration(used)*time.Microsecond))
}

// network is an address, of IPv6 the first one of its /64, which one household or
// server has to itself (RFC 6177). What is not an address is all the same.
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
