package handler

import (
	"cmp"
	"iter"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"dropgate/internal/auth"
)

// maxHops limits the number of hops read. Real chains have fewer than ten, but a
// header has room for thousands.
const maxHops = 64

// forwardedHeader lists the addresses that proxies saw, the nearest proxy's last.
// Forwarded (RFC 7239) is ignored: a proxy that writes one of the two headers
// passes on the other as the caller wrote it.
const forwardedHeader = "X-Forwarded-For"

// clientIP returns the caller's address. Behind trusted proxies this is the last
// address that is not a trusted proxy's. If a hop has no readable address, the
// proxy that wrote it counts as the caller.
func (h *handler) clientIP(r *http.Request) string {
	caller, unreadable := CallerOf(r, h.TrustedProxies)
	if unreadable != "" {
		h.reportUnreadableHop(r, unreadable)
	}
	return caller
}

// CallerOf returns the caller's address behind trusted proxies, as the service sees it.
// The second result is the hop without a readable address, if there is one.
func CallerOf(r *http.Request, trusted []netip.Prefix) (caller, unreadable string) {
	caller = peerIP(r)
	if !auth.PeerWithin(r, trusted) {
		return caller, ""
	}
	headers := r.Header[forwardedHeader]
	if len(headers) == 0 && len(r.Header["Forwarded"]) > 0 {
		return caller, "Forwarded: " + r.Header["Forwarded"][0]
	}
	hops := 0
	for hop := range backward(headers) {
		addr, ok := parseHop(hop)
		if hops++; !ok || hops > maxHops {
			return caller, hop
		}
		caller = addr.String()
		if !slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(addr) }) {
			return caller, ""
		}
	}
	if hops == 0 && len(headers) > 0 {
		return caller, cmp.Or(headers[0], "an empty header")
	}
	return caller, ""
}

// ClientAddress returns the address of the caller of a request inside the handler.
func ClientAddress(r *http.Request) string { return requestLogOf(r).clientIP }

// backward iterates over the elements of comma-separated lists, last one first. It
// skips empty elements (RFC 9110, 5.6.1).
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

// parseHop parses 203.0.113.7, 203.0.113.7:4711, 2001:db8::1 and
// [2001:db8::1]:443, optionally quoted, and IPv6 with a zone. It drops the zone and
// unwraps IPv4 in IPv6.
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
		host = hop[:i] // after IPv4, even at the end of an IPv6 address
	}
	addr, err := netip.ParseAddr(host)
	if err != nil || addr.IsUnspecified() {
		return netip.Addr{}, false
	}
	return addr.WithZone("").Unmap(), true
}

// isPort reports whether s is a colon followed by a port.
func isPort(s string) bool {
	digits, found := strings.CutPrefix(s, ":")
	_, err := strconv.ParseUint(digits, 10, 16)
	return found && err == nil
}

// reportUnreadableHop counts a hop without a readable address, and logs the first.
// All callers behind it share one address and one rate limit.
func (h *handler) reportUnreadableHop(r *http.Request, hop string) {
	h.metrics.unreadableForwarded.Inc()
	h.forwardedWarning.Do(func() {
		h.Logger.Warn().Str("peer", peerIP(r)).Str("hop", strconv.QuoteToASCII(hop[:min(len(hop), 100)])).
			Msg("a trusted proxy sends no readable client address, so all of its callers share one rate limit: make it write IP addresses to X-Forwarded-For. dropgate_forwarded_unreadable_total counts such requests")
	})
}

// peerIP returns the address of the connection's other end, or "" if unknown.
func peerIP(r *http.Request) string {
	if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		if peer.Addr().Is4() { // has only one spelling
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
