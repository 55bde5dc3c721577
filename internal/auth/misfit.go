package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// MisfitError is a fault of the provider's discovery document, or of our settings, that no
// retry removes. Words are fixed, and every client of the admin listener may read them.
// Details say what to change, for the log.
type MisfitError struct {
	Words   string
	Details string
}

func (m *MisfitError) Error() string { return m.Details }

// The words of each MisfitError.
const (
	otherIssuer      = "discovery document names another issuer"
	unusableEndpoint = "discovery document names an unusable endpoint"
	noEndpoints      = "discovery document names no endpoints for a sign-in"
	noClientAuth     = "no common client authentication method"
	noPushedRequest  = "pushed authorization requests are required"
	noSignature      = "no common ID token algorithm"
	noPKCE           = "no PKCE with S256"
	noCodeFlow       = "no authorization code flow"
)

// Misfits returns the reasons why no sign-in can succeed with the provider's discovery
// document. It is empty before the first document.
func (o *OIDC) Misfits() []*MisfitError {
	cache := o.config.Keys.metadata
	if misfit, ok := errors.AsType[*MisfitError](cache.lastFault()); ok {
		return []*MisfitError{misfit}
	}
	if m, ok := cache.load(); ok {
		return o.misfitsOf(m)
	}
	return nil
}

// Discover fetches the discovery document unless it is known.
func (o *OIDC) Discover(ctx context.Context) error {
	_, err := o.config.Keys.metadata.get(ctx)
	return err
}

// misfitsOf compares a discovery document with the settings. A member that is missing
// means that nothing is known.
func (o *OIDC) misfitsOf(m providerMetadata) []*MisfitError {
	if !m.signsIn() {
		return []*MisfitError{errNoEndpoints()}
	}
	var found []*MisfitError
	add := func(words, format string, arguments ...any) {
		found = append(found, &MisfitError{words, fmt.Sprintf("the identity provider: "+format, arguments...)})
	}
	lacks := func(announced []string, wanted string) bool {
		return len(announced) > 0 && !slices.Contains(announced, wanted)
	}
	if way := o.clientAuth(m); lacks(m.TokenAuthMethods, string(way)) {
		add(noClientAuth, "it accepts clients by %s, and dropgate uses %s: change AUTH_OIDC_CLIENT_AUTH, or set the secret or key for another way", quoted(m.TokenAuthMethods), way)
	}
	if m.PushRequired && o.config.NoPush {
		add(noPushedRequest, "it requires pushed authorization requests: set AUTH_OIDC_PAR=auto")
	} else if m.PushRequired && m.PushEndpoint == "" {
		add(noPushedRequest, "it requires pushed authorization requests, and names no pushed_authorization_request_endpoint")
	}
	if len(m.idTokenAlgorithms()) == 0 {
		add(noSignature, "it signs ID tokens with %s: let it sign those of this client with RS256 or ES256", quoted(m.IDTokenAlgorithms))
	}
	if lacks(m.ChallengeMethods, "S256") {
		add(noPKCE, "its code_challenge_methods_supported are %s: let it accept S256", quoted(m.ChallengeMethods))
	}
	if lacks(m.ResponseTypes, "code") {
		add(noCodeFlow, "its response_types_supported are %s: let it accept code", quoted(m.ResponseTypes))
	}
	return found
}

// logMisfits logs the misfits of a new document, once until they change.
func (o *OIDC) logMisfits(m providerMetadata) {
	var all []string
	for _, misfit := range o.misfitsOf(m) {
		all = append(all, misfit.Details)
	}
	text := strings.Join(all, "; ")
	if last := o.misfits.Swap(&text); text == "" || last != nil && *last == text {
		return
	}
	o.config.Keys.config.Logger.Warn().Str("issuer", o.config.Issuer).Strs("misfits", all).
		Msg("sign-ins cannot succeed with the identity provider's settings")
}
