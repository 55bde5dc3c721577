package app

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"dropgate/internal/auth"
	"dropgate/internal/handler"
)

// tryProvider fetches the provider's documents and compares them with the settings.
func (d *doctor) tryProvider(ctx context.Context) []verdict {
	keys := d.openKeys(d.registry())
	err := keys.Fetch(ctx)
	misfit, hopeless := errors.AsType[*auth.MisfitError](err)
	switch {
	case hopeless:
		return []verdict{bad(misfit.Details, "%s", misfit.Words)}
	case err != nil:
		return []verdict{bad("check the issuer's URL and the network; the address must answer with the provider's documents", "the keys: %s", reasonOf(err))}
	}
	found := []verdict{good("its keys")}
	if !slices.Contains(d.config.AuthModes, "oidc") {
		return found
	}
	mode := d.openOIDC(d.registry(), keys, nil)
	err = mode.Discover(ctx)
	misfits := mode.Misfits()
	for _, m := range misfits {
		found = append(found, bad(m.Details, "%s", m.Words))
	}
	if len(misfits) == 0 && err != nil {
		found = append(found, bad("check AUTH_OIDC_ISSUER and AUTH_OIDC_DISCOVERY_URL", "the discovery document: %s", reasonOf(err)))
	} else if len(misfits) == 0 {
		found = append(found, good("its capabilities fit the settings"))
	}
	return found
}

// tryRedirect calls the redirect URI without an answer of the provider. The service
// refuses that with 400.
func (d *doctor) tryRedirect(ctx context.Context) []verdict {
	address := d.config.PublicURL + d.config.BasePath + "/auth/callback"
	resp, err := d.get(ctx, address, http.Header{"Accept": {"text/html"}})
	if err != nil {
		return []verdict{bad("start the service, then check PUBLIC_URL, the proxy in front and its certificate", "%s: %s", address, reasonOf(err))}
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusBadRequest {
		return []verdict{bad("let the proxy pass "+d.config.BasePath+"/auth/callback on to dropgate, with its path and query", "%s answered %d, dropgate answers 400 here", address, resp.StatusCode)}
	}
	return []verdict{good("%s reaches the service; register exactly this text at the provider", address)}
}

// tryForward asks the application without credentials. It must name nobody.
func (d *doctor) tryForward(ctx context.Context) []verdict {
	resp, err := d.get(ctx, d.config.ForwardURL, http.Header{"Accept": {"application/json"}})
	if err != nil {
		return []verdict{bad("check AUTH_FORWARD_URL and the network", "%s: %s", d.config.ForwardURL, reasonOf(err))}
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDoctorBody))
	var claims map[string]any
	switch {
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden:
		return []verdict{good("it refuses a request without credentials (%d)", resp.StatusCode)}
	case resp.StatusCode != http.StatusOK || err != nil:
		return []verdict{bad("AUTH_FORWARD_URL must answer 401 without a session, and 200 with the user in JSON", "it answered %d to a request without credentials", resp.StatusCode)}
	case json.Unmarshal(body, &claims) != nil:
		return []verdict{bad("AUTH_FORWARD_URL must answer in JSON; a page for people has another address", "its answer to a request without credentials is not a JSON object")}
	case claims[d.config.UserClaim] != nil:
		return []verdict{bad("AUTH_FORWARD_URL must name the user of the request's own cookie, and nobody else", "it names a user to a request without credentials")}
	}
	return []verdict{good("it names nobody to a request without credentials")}
}

// tryForwarded says which address the service believes behind a trusted proxy.
func (d *doctor) tryForwarded(ctx context.Context) []verdict {
	trusted := d.config.proxies
	if len(trusted) == 0 {
		return []verdict{bad("set TRUSTED_PROXIES to the proxy's addresses", "TRUSTED_PROXIES is empty: the proxy's own address counts as every caller's")}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/", http.NoBody)
	if err != nil {
		return []verdict{note("not tried")}
	}
	r.RemoteAddr = net.JoinHostPort(trusted[0].Addr().String(), "1")
	r.Header.Set("X-Forwarded-For", d.forwarded)
	caller, unreadable := handler.CallerOf(r, trusted)
	addr, err := netip.ParseAddr(caller)
	switch {
	case unreadable != "":
		return []verdict{bad("make the proxy write IP addresses to X-Forwarded-For", "the hop %.100q has no readable address", unreadable)}
	case err != nil || slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(addr) }):
		return []verdict{bad("remove the callers' addresses from TRUSTED_PROXIES: only the proxy's own belong there", "all addresses of %.100q are trusted proxies, so the caller is %s", strings.ToValidUTF8(d.forwarded, "?"), caller)}
	}
	return []verdict{good("the caller is %s", caller)}
}
