package auth

import (
	"crypto/sha256"
	"net/netip"
	"slices"
	"sync"
	"time"

	"dropgate/internal/auth/session"
)

// pendingLogouts holds logout tokens to retry. Their key is still unknown, or the
// session store is down, and a provider may never send them again. Most are
// unverified, and anyone can send such tokens. Their total size is bounded, and
// the network with the most bytes loses tokens first.
type pendingLogouts struct {
	mu   sync.Mutex
	list []*pendingLogout // in order of arrival
}

type pendingLogout struct {
	digest   [sha256.Size]byte
	raw      string // empty once carried out
	which    session.Selector
	address  string // of the sender
	network  string // of the address
	expires  time.Time
	rejected *publicKeys // these keys did not sign it; nil before the first try
}

const (
	maxPendingLogouts     = 512 << 10 // bytes
	pendingLogoutOverhead = 256       // bytes of an entry besides its token
)

// bytes counts the token twice, because the claims repeat parts of it.
func (p *pendingLogout) bytes() int { return 2*len(p.raw) + pendingLogoutOverhead }

// add stores a token from an address, if there is room.
func (p *pendingLogouts) add(raw, from string, which session.Selector) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expire()
	fresh := &pendingLogout{
		digest: sha256.Sum256([]byte(raw)), raw: raw, which: which,
		address: from, network: networkOf(from), expires: time.Now().Add(logoutTokenLife + logoutTokenAhead),
	}
	if slices.ContainsFunc(p.list, func(k *pendingLogout) bool { return k.digest == fresh.digest }) {
		return
	}
	p.list = append(p.list, fresh)
	for {
		total, most := 0, ""
		byNetwork := map[string]int{}
		for _, k := range p.list {
			total += k.bytes()
			if byNetwork[k.network] += k.bytes(); byNetwork[k.network] > byNetwork[most] {
				most = k.network
			}
		}
		if total <= maxPendingLogouts {
			return
		}
		// The newest token of that network goes, so that earlier ones stay.
		for i, k := range slices.Backward(p.list) {
			if k.network == most {
				p.list = slices.Delete(p.list, i, i+1)
				break
			}
		}
	}
}

// expire drops old tokens. The caller holds mu.
func (p *pendingLogouts) expire() {
	now := time.Now()
	p.list = slices.DeleteFunc(p.list, func(k *pendingLogout) bool { return !now.Before(k.expires) })
}

// due returns the tokens still to carry out, except those these keys rejected.
func (p *pendingLogouts) due(keys *publicKeys) []pendingLogout {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expire()
	var found []pendingLogout
	for _, k := range p.list {
		if k.raw != "" && k.rejected != keys {
			found = append(found, *k)
		}
	}
	return found
}

// markForeign notes that these keys did not sign a token.
func (p *pendingLogouts) markForeign(digest [sha256.Size]byte, keys *publicKeys) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range p.list {
		if k.digest == digest {
			k.rejected = keys
		}
	}
}

// markDone notes that a token was carried out.
func (p *pendingLogouts) markDone(raw string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	digest := sha256.Sum256([]byte(raw))
	for _, k := range p.list {
		if k.digest == digest {
			k.raw = ""
		}
	}
}

// isDone reports whether a pending token was carried out meanwhile. If the provider
// sends it again, as we asked, the answer is a success.
func (p *pendingLogouts) isDone(raw string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	digest := sha256.Sum256([]byte(raw))
	return slices.ContainsFunc(p.list, func(k *pendingLogout) bool { return k.digest == digest && k.raw == "" })
}

// networkOf returns an IPv4 address itself, and the /64 of an IPv6 address. One
// client usually controls a whole /64.
func networkOf(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return "none"
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	prefix, _ := ip.Prefix(64) // every IPv6 address has one
	return prefix.String()
}
