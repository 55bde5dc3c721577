package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/netip"
	"slices"

	"dropgate/internal/clienttoken"
	"dropgate/internal/ratelimit"
	"dropgate/internal/rotation"
)

// ProxySecretHeader carries the proxy's secret.
const ProxySecretHeader = "X-Proxy-Secret"

// ProxyConfig configures the trusted proxy. All fields are required.
type ProxyConfig struct {
	Header  string             // with the user's id: X-Forwarded-User
	Secret  clienttoken.Secret // the value of X-Proxy-Secret, or several, one per line
	Trusted []netip.Prefix     // the proxy's own addresses
}

// Proxy is the mode for applications behind an authenticating proxy: oauth2-proxy,
// Pomerium, or an ingress with one of them.
type Proxy struct {
	header  string
	secret  *rotation.Secret
	trusted []netip.Prefix
}

// NewProxy returns the mode. It panics without a header, a secret and trusted
// addresses, since anyone could then name a user.
func NewProxy(c ProxyConfig) *Proxy {
	if c.Header == "" || c.Secret.IsZero() || len(c.Trusted) == 0 {
		panic("auth: proxy mode without header, secret or trusted addresses")
	}
	return &Proxy{
		header:  http.CanonicalHeaderKey(c.Header),
		secret:  rotation.New(c.Secret),
		trusted: c.Trusted,
	}
}

// Name returns "proxy".
func (p *Proxy) Name() string { return "proxy" }

// Authenticate takes the user's id from the header, if the request comes from a
// trusted address with the secret. Otherwise either header is an attack. It is
// refused rather than ignored, so that it shows in the log.
func (p *Proxy) Authenticate(r *http.Request, _ *ratelimit.Charge) (Session, error) {
	ids, secrets := r.Header[p.header], r.Header[ProxySecretHeader]
	switch {
	case len(ids) == 0 && len(secrets) == 0:
		return Session{}, errNoCredential
	case !PeerWithin(r, p.trusted):
		return Session{}, p.reject(Untrusted, "the proxy's headers come from outside TRUSTED_PROXIES")
	case len(secrets) != 1 || !p.isSecret(secrets[0]):
		return Session{}, p.reject(Untrusted, "X-Proxy-Secret is missing, given twice or wrong")
	case len(ids) == 0:
		return Session{}, errNoCredential // the proxy passes requests without a user
	case len(ids) > 1:
		return Session{}, p.reject(Ambiguous, "the user is named twice")
	case !clienttoken.ValidUserID(ids[0]):
		return Session{}, p.reject(NoUser, p.header+" is not a user id of 1 to 255 printable characters")
	}
	return Session{
		User: clienttoken.User{ID: ids[0], Claims: map[string]any{"sub": ids[0]}},
		Mode: p.Name(),
		// The proxy has its own cookie.
		ByCookie: true,
	}, nil
}

// Rotate replaces the secret. There may be several, one per line.
func (p *Proxy) Rotate(secrets clienttoken.Secret) { p.secret.Set(secrets) }

// isSecret compares with each secret in constant time. Hashes have equal lengths, so
// the time does not reveal a secret's length either.
func (p *Proxy) isSecret(given string) bool {
	sum := sha256.Sum256([]byte(given))
	matches := 0
	for _, secret := range p.secret.Values() {
		want := sha256.Sum256([]byte(secret.Reveal()))
		matches |= subtle.ConstantTimeCompare(sum[:], want[:])
	}
	return matches == 1
}

func (p *Proxy) reject(kind RejectionKind, reason string) *Rejection {
	return &Rejection{Mode: p.Name(), Kind: kind, Reason: reason}
}

// PeerWithin reports whether the address of the request's connection is in one of
// the prefixes. It ignores forwarding headers.
func PeerWithin(r *http.Request, prefixes []netip.Prefix) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	addr := peer.Addr().Unmap().WithZone("")
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
}
