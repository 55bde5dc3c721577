package handler

import (
	"iter"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"dropgate/internal/auth"
)

// maxHops is how many proxies in a row are looked at. Real chains have fewer than
// ten. A header has room for thousands.
const maxHops = 64

// forwardedHeader holds the addresses that proxies saw, the nearest proxy's last.
// The standard header Forwarded (RFC 7239) does not count: a proxy that writes one
// of them passes the other on as the caller wrote it.
const forwardedHeader = "X-Forwarded-For"

// clientIP is the caller's address. Behind trusted proxies it is the last one that
// is not a proxy's own. Proxies write addresses with ports, brackets, quotes and
// zones. Behind a hop without an address, the proxy that wrote it stands for the
// caller.
func (h *handler) clientIP(r *http.Request) string {
	if !auth.PeerWithin(r, h.TrustedProxies) {
		return peerIP(r)
	}
	headers := r.Header[forwardedHeader]
	if len(headers) == 0 && len(r.Header["Forwarded"]) > 0 {
		h.unreadableHop(r, "Forwarded: "+r.Header["Forwarded"][0])
		return peerIP(r)
	}
	caller, hops := peerIP(r), 0
	for hop := range backward(headers) {
		addr, ok := parseHop(hop)
		if hops++; !ok || hops > maxHops {
			h.unreadableHop(r, hop)
			return caller
		}
		caller = addr.String()
		if !slices.ContainsFunc(h.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(addr) }) {
			return caller
		}
	}
	if hops == 0 && len(headers) > 0 {
		h.unreadableHop(r, headers[0])
	}
	return caller
}

// backward iterates over the elements of comma-separated lists from the last to the
// first. It skips empty ones, which mean nothing (RFC 9110, 5.6.1).
func backward(lists []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, rest := range slices.Backward(lists) {
			for rest != "" {
				var element string
				rest, element = cutLast(rest)
				if element != "" && !yield(element) {
					return
				}
			}
		}
	}
}

// cutLast cuts off the last element of a comma-separated list.
func cutLast(list string) (rest, last string) {
	if i := strings.LastIndexByte(list, ','); i >= 0 {
		rest, list = list[:i], list[i+1:]
	}
	return rest, strings.Trim(list, " \t")
}

// parseHop reads the address of a hop: 203.0.113.7, 203.0.113.7:4711, 2001:db8::1,
// [2001:db8::1]:443, any of them in quotes, with a zone behind IPv6. It returns the
// address without a zone, and IPv4 in IPv6 as IPv4.
func parseHop(hop string) (netip.Addr, bool) {
	if len(hop) > 1 && hop[0] == '"' && hop[len(hop)-1] == '"' {
		hop = strings.Trim(hop[1:len(hop)-1], " \t")
	}
	host := hop
	if inside, port, bracketed := strings.Cut(strings.TrimPrefix(hop, "["), "]"); bracketed && hop[0] == '[' {
		if port != "" && !isPort(port) {
			return netip.Addr{}, false
		}
		host = inside
	} else if i := strings.LastIndexByte(hop, ':'); i >= 0 && strings.IndexByte(hop[:i], '.') >= 0 && isPort(hop[i:]) {
		host = hop[:i] // behind IPv4, also as the end of IPv6
	}
	addr, err := netip.ParseAddr(host)
	if err != nil || addr.IsUnspecified() {
		return netip.Addr{}, false
	}
	return addr.WithZone("").Unmap(), true
}

// isPort reports whether s is a colon and a port.
func isPort(s string) bool {
	digits, found := strings.CutPrefix(s, ":")
	_, err := strconv.ParseUint(digits, 10, 16)
	return found && err == nil
}

// unreadableHop counts a hop without an address, and logs the first one: all callers
// behind it share one address, and its allowance.
func (h *handler) unreadableHop(r *http.Request, hop string) {
	h.metrics.unreadable.Inc()
	h.forwardedWarning.Do(func() {
		h.Logger.Warn().Str("peer", peerIP(r)).Str("hop", strconv.QuoteToASCII(hop[:min(len(hop), 100)])).
			Msg("a trusted proxy names a caller whose address cannot be read: its callers share one address and its allowance; make it write X-Forwarded-For with addresses. dropgate_forwarded_unreadable_total counts such requests")
	})
}

// peerIP is the address of the other end of the connection, or "" for none.
func peerIP(r *http.Request) string {
	if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		if peer.Addr().Is4() { // has one spelling
			return r.RemoteAddr[:strings.IndexByte(r.RemoteAddr, ':')]
		}
		return peer.Addr().WithZone("").Unmap().String()
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}
