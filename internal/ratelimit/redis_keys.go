package ratelimit

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"net/netip"
	"sync"
)

// names makes the keys of limits. In Redis they are HMACs, so that its readers cannot
// guess users and addresses. The keys of this process need none.
type names struct {
	tag  string     // hash tag
	macs *sync.Pool // of *maker: setting up an HMAC costs more than using it; nil without Redis
}

// newNames derives names for Redis from a secret.
func newNames(secret []byte, tag string) *names {
	key, err := hkdf.Key(sha256.New, secret, nil, "dropgate rate limit names 1", sha256.Size)
	if err != nil {
		panic(err) // never: only a length beyond 255 hashes fails
	}
	return &names{tag: tag, macs: &sync.Pool{New: func() any { return &maker{mac: hmac.New(sha256.New, key)} }}}
}

// maker makes one name at a time.
type maker struct {
	mac  hash.Hash
	text []byte // reused, like name
	name []byte
}

func (n *names) of(scope Scope, name string) string {
	if n.macs == nil {
		return name // each scope has its own memory
	}
	m, ok := n.macs.Get().(*maker)
	if !ok {
		panic("ratelimit: a foreign value in the pool")
	}
	defer n.macs.Put(m)
	m.mac.Reset()
	m.text = append(append(append(m.text[:0], scope...), 0), name...)
	_, _ = m.mac.Write(m.text) // never fails (hash.Hash)
	m.text = m.mac.Sum(m.text[:0])
	m.name = append(append(append(append(m.name[:0], "dropgate:limit:"...), scope...), ':'), n.tag...)
	m.name = base64.RawURLEncoding.AppendEncode(m.name, m.text)
	return string(m.name)
}

// address returns the name of an address, or of the /64 of an IPv6 address: one
// household or server usually has a whole /64 (RFC 6177). Texts that are not addresses
// share one allowance.
func (n *names) address(addr string) string {
	ip, err := netip.ParseAddr(addr)
	if ip.Is4() { // which has one spelling
		return n.of(IP, addr)
	}
	switch ip = ip.Unmap(); {
	case err != nil:
		return n.of(IP, "none")
	case ip.Is4():
		return n.of(IP, ip.String())
	}
	network, _ := ip.WithZone("").Prefix(64) // every IPv6 address has one
	return n.of(IP, network.String())
}

// user returns the name of a user, or "" for an empty id.
func (n *names) user(id string) string {
	if id == "" {
		return ""
	}
	return n.of(User, id)
}

// creation returns the name of a user's customer.create allowance, or "" for an empty
// id.
func (n *names) creation(id string) string {
	if id == "" {
		return ""
	}
	return n.of(Create, id)
}
