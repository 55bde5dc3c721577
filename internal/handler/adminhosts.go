package handler

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// AdminHosts are the hosts that the admin listener answers for: localhost, every
// address of this machine, and more names. Without the check a page in an
// operator's browser could reach the listener, by a name of the page's own that
// resolves to the listener's address (DNS rebinding).
type AdminHosts struct {
	// Names are further host names and addresses, in lower case and without a port.
	Names []string
	// Addresses returns those of this machine; nil stands for net.InterfaceAddrs.
	Addresses func() ([]net.Addr, error)
}

// ownHosts answers requests for one of the hosts. It refuses all others before
// any route, and those that a page of another site causes.
func (h *handler) ownHosts(hosts AdminHosts) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		refused := h.observed(securityHeaders(h.serve(func(_ http.ResponseWriter, r *http.Request) error {
			if !hosts.name(r) {
				return &problem{code: misdirectedRequest, reason: fmt.Sprintf("the host %.100q is not one of ADMIN_HOSTS", r.Host)}
			}
			return &problem{code: crossOriginRequest, reason: "a page of another origin asked the admin listener"}
		})))
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !hosts.name(r) || crossSite(r) {
				refused.ServeHTTP(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// crossSite reports whether a browser says that a page of another origin caused
// a request. Somebody may type an address, and the listener has no page of its own.
func crossSite(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		return site != "same-origin" && site != "none"
	}
	return r.Header.Get("Origin") != ""
}

// name reports whether a request is for one of the hosts. HTTP/1.0 needs no Host:
// old health checks send none, and every browser does.
func (a AdminHosts) name(r *http.Request) bool {
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
	return addr.IsLoopback() || slices.ContainsFunc(a.Names, listed) || a.own(addr)
}

// hostWithoutPort is the host of an authority in lower case, without brackets and
// without the dot that ends a complete name.
func hostWithoutPort(authority string) string {
	host := authority
	if name, _, err := net.SplitHostPort(authority); err == nil {
		host = name
	} else if inside, found := strings.CutPrefix(authority, "["); found {
		host = strings.TrimSuffix(inside, "]")
	}
	return strings.TrimSuffix(strings.ToLower(host), ".")
}

// own reports whether an address is one of this machine's now: a node may get
// others while the process runs.
func (a AdminHosts) own(addr netip.Addr) bool {
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
