package handler

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// AdminHosts are the hosts that the admin listener accepts: localhost, the
// machine's own addresses, and Names. The check prevents DNS rebinding: a web page
// in an operator's browser cannot point its own host name at the listener.
type AdminHosts struct {
	// Names are other host names and addresses, in lower case and without a port.
	Names []string
	// Addresses returns the machine's own addresses. Nil means net.InterfaceAddrs.
	Addresses func() ([]net.Addr, error)
}

// requireOwnHost refuses requests for other hosts, and requests from web pages of
// other origins. It runs before the routes.
func (h *handler) requireOwnHost(hosts AdminHosts) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		refused := h.withRequestLog(securityHeaders(h.serve(func(_ http.ResponseWriter, r *http.Request) error {
			if !hosts.allows(r) {
				return &problem{code: misdirectedRequest, reason: fmt.Sprintf("the host %.100q is not in ADMIN_HOSTS", r.Host)}
			}
			return &problem{code: crossOriginRequest, reason: "a page of another origin sent a request to the admin listener"}
		})))
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !hosts.allows(r) || crossSite(r) {
				refused.ServeHTTP(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// crossSite reports whether a page of another origin caused the request, as far as
// the browser says. An address typed by a person is fine.
func crossSite(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		return site != "same-origin" && site != "none"
	}
	return r.Header.Get("Origin") != ""
}

// allows reports whether the request is for one of the hosts. Browsers always send
// a Host. HTTP/1.0 does not require one, and old health checks leave it out.
func (a AdminHosts) allows(r *http.Request) bool {
	if r.Host == "" {
		return !r.ProtoAtLeast(1, 1)
	}
	name := hostWithoutPort(r.Host)
	addr, err := netip.ParseAddr(name)
	if err != nil {
		return name == "localhost" || slices.Contains(a.Names, name)
	}
	addr = addr.Unmap().WithZone("")
	listed := func(own string) bool {
		listed, err := netip.ParseAddr(own)
		return err == nil && listed.Unmap() == addr
	}
	return addr.IsLoopback() || slices.ContainsFunc(a.Names, listed) || a.isLocal(addr)
}

// hostWithoutPort returns the host of an authority in lower case, without brackets
// and without a final dot.
func hostWithoutPort(authority string) string {
	host := authority
	if name, _, err := net.SplitHostPort(authority); err == nil {
		host = name
	} else if inside, found := strings.CutPrefix(authority, "["); found {
		host = strings.TrimSuffix(inside, "]")
	}
	return strings.TrimSuffix(strings.ToLower(host), ".")
}

// isLocal reports whether addr is one of the machine's own addresses. It asks every
// time, because a node's addresses can change.
func (a AdminHosts) isLocal(addr netip.Addr) bool {
	find := a.Addresses
	if find == nil {
		find = net.InterfaceAddrs
	}
	all, err := find()
	if err != nil {
		return false
	}
	return slices.ContainsFunc(all, func(each net.Addr) bool {
		prefix, err := netip.ParsePrefix(each.String())
		return err == nil && prefix.Addr().Unmap().WithZone("") == addr
	})
}
