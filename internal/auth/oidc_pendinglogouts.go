package auth

import (
	"crypto/sha256"
	"net/netip"
	"slices"
	"sync"
	"time"

	"dropgate/internal/auth/session"
)

// notices keeps logout tokens that could not take effect: their key is not known
// yet, or the session store is down. A provider may never send one again. Most
// of them are not verified, so that a stranger may send them, too: they are
// bounded in bytes, and when there is no room the address with the most bytes
// gives way, whether that is the newest token's or another's.
type notices struct {
	mu   sync.Mutex
	kept []*notice // in the order in which they came
}

type notice struct {
	digest [sha256.Size]byte
	raw    string // empty once it has taken effect
	which  session.Which
	// The sender's address, and the network that it is in.
	address, from string
	until         time.Time
	tried         *keys // did not sign it; nil: no keys were tried
}

const (
	maxNotices     = 512 << 10 // bytes
	noticeOverhead = 256       // bytes of a notice beside its text
)

// bytes counts the text twice, because the claims repeat parts of it.
func (n *notice) bytes() int { return 2*len(n.raw) + noticeOverhead }

// keep keeps a token from an address, unless there is no room for it.
func (n *notices) keep(raw, from string, which session.Which) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.expire()
	fresh := &notice{
		digest: sha256.Sum256([]byte(raw)), raw: raw, which: which,
		address: from, from: network(from), until: time.Now().Add(logoutTokenLife + logoutTokenAhead),
	}
	if slices.ContainsFunc(n.kept, func(k *notice) bool { return k.digest == fresh.digest }) {
		return
	}
	n.kept = append(n.kept, fresh)
	for {
		total, most := 0, ""
		of := map[string]int{}
		for _, k := range n.kept {
			total += k.bytes()
			if of[k.from] += k.bytes(); of[k.from] > of[most] {
				most = k.from
			}
		}
		if total <= maxNotices {
			return
		}
		// The newest of the largest: what came first has a right to stay.
		for i, k := range slices.Backward(n.kept) {
			if k.from == most {
				n.kept = slices.Delete(n.kept, i, i+1)
				break
			}
		}
	}
}

// expire forgets what is too old. The caller holds mu.
func (n *notices) expire() {
	now := time.Now()
	n.kept = slices.DeleteFunc(n.kept, func(k *notice) bool { return !now.Before(k.until) })
}

// untried are the tokens that have not taken effect, and that these keys may have
// signed.
func (n *notices) untried(by *keys) []notice {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.expire()
	var found []notice
	for _, k := range n.kept {
		if k.raw != "" && k.tried != by {
			found = append(found, *k)
		}
	}
	return found
}

// foreign marks a token that these keys did not sign.
func (n *notices) foreign(digest [sha256.Size]byte, by *keys) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, k := range n.kept {
		if k.digest == digest {
			k.tried = by
		}
	}
}

// done marks a token as one that has taken effect.
func (n *notices) done(raw string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	digest := sha256.Sum256([]byte(raw))
	for _, k := range n.kept {
		if k.digest == digest {
			k.raw = ""
		}
	}
}

// tookEffect reports whether a token was kept and has taken effect since: then the
// provider, whom we asked to send it again, has nothing to repeat.
func (n *notices) tookEffect(raw string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	digest := sha256.Sum256([]byte(raw))
	return slices.ContainsFunc(n.kept, func(k *notice) bool { return k.digest == digest && k.raw == "" })
}

// network is an address, of IPv6 its /64: who has one has all of it.
func network(address string) string {
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
