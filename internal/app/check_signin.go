package app

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"dropgate/internal/auth"
	"dropgate/internal/clienttoken"
)

func (k checker) uses(mode string) bool { return slices.Contains(k.AuthModes, mode) }

func (k checker) modes() {
	if len(k.AuthModes) == 0 {
		k.fail("AUTH_MODES", "is required: without a mode, no user can sign in")
	}
	for i, mode := range k.AuthModes {
		switch {
		case slices.Contains(k.AuthModes[:i], mode):
			k.fail("AUTH_MODES", mode+" is named twice")
		case !slices.Contains([]string{"bearer", "oidc", "forward", "proxy"}, mode):
			k.fail("AUTH_MODES", fmt.Sprintf("%q is not a mode; the modes are bearer, oidc, forward and proxy", mode))
		case mode == "forward" && i < len(k.AuthModes)-1:
			k.fail("AUTH_MODES", "forward must be the last one: it takes every cookie for the application's, even the session cookie")
		case mode == "proxy" && i > 0:
			k.fail("AUTH_MODES", "proxy must be the first one: it refuses its headers from other peers, whatever other credentials a request has")
		}
	}
}

func (k checker) bearer() {
	if !k.uses("bearer") {
		return
	}
	if k.BearerAudience == "" && len(k.BearerClientIDs) == 0 && len(k.BearerRequired) == 0 {
		k.fail("AUTH_BEARER_AUDIENCE", "is required without AUTH_BEARER_CLIENT_IDS and AUTH_BEARER_REQUIRED_CLAIMS: tokens for other services would be accepted")
	}
	k.required("AUTH_BEARER_ISSUER", k.BearerIssuer)
	if k.BearerJWKSURL == "" || strings.Contains(k.BearerIssuer, "://") {
		k.identityURL("AUTH_BEARER_ISSUER", k.BearerIssuer)
	}
	k.identityURL("AUTH_BEARER_JWKS_URL", strings.SplitN(k.BearerJWKSURL, "?", 2)[0])
	if strings.ContainsAny(k.BearerJWKSURL, `# "<>`+"`") {
		k.fail("AUTH_BEARER_JWKS_URL", shown(k.BearerJWKSURL)+" has a fragment or a character that does not belong in a URL")
	}
	for _, required := range k.BearerRequired {
		if err := auth.ParseRequiredClaim(required); err != nil {
			k.fail("AUTH_BEARER_REQUIRED_CLAIMS", err.Error())
		}
	}
	k.bearerHeader()
	if k.BearerTokenType != "" && k.BearerTokenType != "at+jwt" {
		k.fail("AUTH_BEARER_TOKEN_TYPE", "must be empty or at+jwt")
	}
	if k.BearerCookie != "" && !isToken(k.BearerCookie) {
		k.fail("AUTH_BEARER_COOKIE", "is not a valid cookie name")
	}
}

func (k checker) bearerHeader() {
	name := strings.ToLower(k.BearerHeader)
	if !isToken(k.BearerHeader) || slices.Contains([]string{"cookie", "host", "origin", "x-proxy-secret", "x-forwarded-for"}, name) {
		k.fail("AUTH_BEARER_HEADER", "is not a header that can carry a token")
	}
	if k.uses("proxy") && name == strings.ToLower(k.ProxyHeader) {
		k.fail("AUTH_BEARER_HEADER", "equals AUTH_PROXY_HEADER")
	}
}

// claimNames checks the names of claims.
func (k checker) claimNames() {
	if err := auth.ParseClaim(k.UserClaim); err != nil {
		k.fail("AUTH_USER_CLAIM", err.Error())
	}
	if err := auth.ParseClaim(k.CustomerClaim); err != nil {
		k.fail("CUSTOMER_CLAIM", err.Error())
	}
}

func (k checker) oidc() {
	if !k.uses("oidc") {
		return
	}
	k.required("AUTH_OIDC_ISSUER", k.OIDCIssuer)
	k.identityURL("AUTH_OIDC_ISSUER", k.OIDCIssuer)
	k.required("AUTH_OIDC_CLIENT_ID", k.OIDCClientID)
	k.identityURL("AUTH_OIDC_DISCOVERY_URL", k.OIDCDiscovery)
	k.clientAuth()
	if k.OIDCPush != "auto" && k.OIDCPush != "off" {
		k.fail("AUTH_OIDC_PAR", "must be auto or off")
	}
	for _, name := range k.OIDCPassed {
		if err := auth.CheckParameter(name); err != nil {
			k.fail("AUTH_OIDC_LOGIN_PARAMS", err.Error())
		}
	}
	k.required("PUBLIC_URL", k.PublicURL)
	if err := checkPublicURL(k.PublicURL, k.Environment); k.PublicURL != "" && err != nil {
		k.fail("PUBLIC_URL", err.Error())
	}
	k.pages()
	if !slices.Contains(strings.Fields(k.OIDCScopes), "openid") {
		k.fail("AUTH_OIDC_SCOPES", "must include openid: without it the provider sends no ID token")
	}
}

// pages checks the application's pages, whose origins are checked elsewhere.
func (k checker) pages() {
	if auth.CheckReturnTo(k.PublicURL, k.AllowedOrigins, k.AppURL) != nil {
		k.fail("APP_URL", shown(k.AppURL)+" is neither a path nor a URL of PUBLIC_URL or of an origin in ALLOWED_ORIGINS")
	}
	own, _ := strings.CutPrefix(k.SignInErrorURL, k.PublicURL)
	switch {
	case auth.CheckReturnTo(k.PublicURL, k.AllowedOrigins, k.SignInErrorURL) != nil || strings.ContainsAny(k.SignInErrorURL, "?#"):
		k.fail("SIGN_IN_ERROR_URL", shown(k.SignInErrorURL)+" is neither a path nor a URL of PUBLIC_URL or of an origin in ALLOWED_ORIGINS, without query and fragment")
	case strings.HasPrefix(own, strings.TrimSuffix(k.BasePath, "/")+"/auth/"):
		k.fail("SIGN_IN_ERROR_URL", "is a page of dropgate, and would send the browser round in circles")
	}
}

// clientAuth checks that the service can prove its identity in the chosen way.
func (k checker) clientAuth() {
	k.longEnough("AUTH_OIDC_CLIENT_SECRET", k.OIDCSecret)
	way := auth.ClientAuth(k.OIDCClientAuth)
	switch {
	case !slices.Contains([]auth.ClientAuth{"", auth.SecretBasic, auth.SecretPost, auth.PrivateKeyJWT, auth.PublicClient}, way):
		k.fail("AUTH_OIDC_CLIENT_AUTH", "must be client_secret_basic, client_secret_post, private_key_jwt or none")
	case way == auth.PrivateKeyJWT:
		k.required("AUTH_OIDC_CLIENT_KEYS", k.OIDCKeys.Reveal())
	case way == auth.PublicClient || way == "" && !k.OIDCKeys.IsZero():
	default:
		k.required("AUTH_OIDC_CLIENT_SECRET", k.OIDCSecret.Reveal())
	}
	if k.OIDCSecret.IsZero() && (way == auth.PublicClient || !k.OIDCKeys.IsZero()) {
		k.required("SESSION_KEYS", k.SessionKeys.Reveal())
	}
}

// bearerWithOIDC: both modes share one population of users, so no second issuer
// may vouch for them. And the ID token of a sign-in travels in URLs, so it must not
// be a bearer token.
func (k checker) bearerWithOIDC() {
	if !k.uses("bearer") || !k.uses("oidc") {
		return
	}
	if k.OIDCIssuer != k.BearerIssuer && k.OIDCIssuer != "" && k.BearerIssuer != "" {
		k.fail("AUTH_OIDC_ISSUER", "differs from AUTH_BEARER_ISSUER: the same user id could mean two people")
	}
	if k.OIDCClientID == k.BearerAudience && k.OIDCClientID != "" && k.BearerTokenType == "" {
		k.fail("AUTH_BEARER_AUDIENCE", "equals AUTH_OIDC_CLIENT_ID, so ID tokens would count as bearer tokens: set AUTH_BEARER_TOKEN_TYPE=at+jwt or use another audience")
	}
}

func (k checker) sessions() {
	if !k.uses("oidc") {
		return
	}
	switch k.SessionStore {
	case "memory":
	case "redis":
		k.required("REDIS_URL", k.RedisURL.Reveal())
	default:
		k.fail("SESSION_STORE", fmt.Sprintf("must be memory or redis, not %q", k.SessionStore))
	}
	k.keysNotGuessable("SESSION_KEYS", k.SessionKeys)
	k.within("SESSION_IDLE_TIMEOUT", k.SessionIdle, time.Minute, 24*time.Hour)
	k.within("SESSION_LIFETIME", k.SessionLifetime, 5*time.Minute, 30*24*time.Hour)
	if k.Partitioned && k.sameSite != http.SameSiteNoneMode {
		k.fail("SESSION_PARTITIONED", "needs SESSION_SAMESITE=none: browsers send no other cookie to a frame of another site")
	}
	if k.sameSite == http.SameSiteNoneMode && !strings.HasPrefix(k.PublicURL, "https://") {
		k.fail("SESSION_SAMESITE", "cannot be none: browsers accept that over https only, and PUBLIC_URL is not https")
	}
}

func (k checker) forward() {
	if !k.uses("forward") {
		return
	}
	k.required("AUTH_FORWARD_URL", k.ForwardURL)
	k.identityURL("AUTH_FORWARD_URL", k.ForwardURL)
	k.within("AUTH_FORWARD_CACHE", k.ForwardCache, 0, 5*time.Minute)
	k.forwardCookies()
}

// forwardCookies checks that the application can set no cookie that another mode reads.
func (k checker) forwardCookies() {
	const name, most = "AUTH_FORWARD_SET_COOKIE", 16
	if len(k.ForwardCookies) > most {
		k.fail(name, fmt.Sprintf("has more than %d names", most))
	}
	for _, cookie := range k.ForwardCookies {
		switch {
		case cookie == "true" || cookie == "false" || cookie == "*" || !isToken(cookie) || len(cookie) > 255:
			k.fail(name, fmt.Sprintf("must list the names of cookies, such as sid, not %q", cookie))
		case auth.OwnsCookie(cookie) || k.uses("bearer") && cookie == k.BearerCookie:
			k.fail(name, fmt.Sprintf("cannot list %s: another mode reads this cookie", cookie))
		}
	}
}

// proxy demands both an address and a secret of the proxy: another machine in the
// same network may get hold of either one.
func (k checker) proxy() {
	if !k.uses("proxy") {
		return
	}
	k.requiredSecret("AUTH_PROXY_SECRET", k.ProxySecret)
	if len(k.TrustedProxies) == 0 {
		k.fail("TRUSTED_PROXIES", "is required for the mode proxy: the proxy's own addresses")
	}
	for _, prefix := range k.proxies {
		if prefix.Bits() == 0 {
			k.fail("TRUSTED_PROXIES", fmt.Sprintf("%s includes every address, not only the proxy's", prefix))
		}
	}
	if !isToken(k.ProxyHeader) || slices.Contains([]string{"authorization", "cookie", "x-proxy-secret"}, strings.ToLower(k.ProxyHeader)) {
		k.fail("AUTH_PROXY_HEADER", "is not a header that can carry a user id")
	}
	if k.CustomerSource == "claim" {
		k.fail("CUSTOMER_SOURCE", "is claim, but the mode proxy has no claims: its users would seem to have no Customer, and could create another one")
	}
}

// isToken reports whether s can name a cookie or a header (RFC 9110, 5.6.2).
func isToken(s string) bool {
	return regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$").MatchString(s)
}

// identityURL demands https in production for a URL, if set. Otherwise an attacker
// on the network could change the keys, or the answer, and become any user.
func (k checker) identityURL(name, raw string) {
	if raw == "" {
		return
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(raw, ` "<>`+"`") {
		k.fail(name, shown(raw)+" is not an absolute URL without user info, query and fragment")
	} else if u.Scheme != "https" && (u.Scheme != "http" || k.Environment == clienttoken.Production) {
		k.fail(name, fmt.Sprintf("%q is not https", raw))
	}
}

// checkPublicURL accepts an origin. It accepts http only for a browser on this
// machine: on a network, others could read and set the session cookie. The prefix
// __Host- needs https (RFC 6265bis, 4.1.3).
func checkPublicURL(raw string, environment clienttoken.Environment) error {
	if err := checkOrigin(raw, environment); err != nil {
		return fmt.Errorf("%w; put a path into BASE_PATH", err)
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return fmt.Errorf("%q is not https", raw)
	}
	return nil
}

// mayHoldSecret reports whether a URL has user info, a query or a fragment: people
// put passwords and keys there. Only a secret setting may have them.
func mayHoldSecret(raw string) bool { return strings.ContainsAny(raw, "@?#") }

// shown is a URL for the text of a fault. Faults may end up in logs.
func shown(raw string) string {
	if !mayHoldSecret(raw) {
		return strconv.Quote(raw)
	}
	scheme, _, found := strings.Cut(raw, "://")
	if !found || mayHoldSecret(scheme) {
		return `"…"`
	}
	return strconv.Quote(scheme + "://…")
}
