package app

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"dropgate/internal/clienttoken"
	"dropgate/internal/keyring"
)

// faults are what is wrong with a configuration, by the name of the setting.
type faults map[string][]string

func (f faults) add(name, what string) { f[name] = append(f[name], what) }

// sorted lists the faults in the order of the table, so that the same mistakes
// always read the same.
func (f faults) sorted() []string {
	var names []string
	for field := range settings() {
		names = append(names, field.Tag.Get("env"), field.Tag.Get("env")+"_FILE")
	}
	names = append(append(names, reserved()...), "configuration")
	var lines []string
	for _, name := range names {
		for _, what := range f[name] {
			lines = append(lines, name+": "+strings.ReplaceAll(what, "\n", "; "))
		}
	}
	return lines
}

// check holds every rule about the configuration that its types do not.
func (f faults) check(c *Config) {
	f.checkDwolla(c)
	f.checkListeners(c)
	f.checkTLS(c)
	f.checkAuth(c)
	f.checkPlaintext(c)
	f.checkRedis(c)
	f.checkDirectory(c)
	f.checkEnrollment(c)
	f.checkAdmin(c)

	var err error
	if c.policy, err = clienttoken.ParsePolicy(c.AllowedActions); err != nil {
		f.add("ALLOWED_ACTIONS", err.Error())
	}
	if c.LogFormat != "json" && c.LogFormat != "console" {
		f.add("LOG_FORMAT", "is neither json nor console")
	}
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.LogLevel) {
		f.add("LOG_LEVEL", "is none of debug, info, warn and error")
	}
	f.checkWithin("SHUTDOWN_DELAY", c.ShutdownDelay, 0, 5*time.Minute)
	f.checkWithin("SHUTDOWN_TIMEOUT", c.ShutdownTimeout, time.Second, 5*time.Minute)
}

func (f faults) checkDwolla(c *Config) {
	f.checkRequired("DWOLLA_CLIENT_ID", c.ClientID)
	f.checkRequired("DWOLLA_CLIENT_SECRET", c.ClientSecret.Reveal())
	f.checkGuess("DWOLLA_CLIENT_SECRET", c.ClientSecret)
	f.checkWithin("DWOLLA_TIMEOUT", c.Timeout, 100*time.Millisecond, 10*time.Second)
	if len(f["DWOLLA_MAX_CONCURRENT"]) == 0 && (c.MaxCalls < 1 || c.MaxCalls > 10000) {
		f.add("DWOLLA_MAX_CONCURRENT", fmt.Sprintf("%d is not within 1 and 10000", c.MaxCalls))
	}
	f.checkAPI(c)
}

func (f faults) checkAPI(c *Config) {
	if _, err := clienttoken.NewAPI(c.Environment, ""); err != nil {
		f.add("DWOLLA_ENVIRONMENT", "has to be sandbox or production")
		return
	}
	if mayHoldSecret(c.BaseURL) {
		f.add("DWOLLA_BASE_URL", shown(c.BaseURL)+" has user info, a query or a fragment")
		return
	}
	var err error
	if c.api, err = clienttoken.NewAPI(c.Environment, c.BaseURL); err != nil {
		f.add("DWOLLA_BASE_URL", err.Error())
	}
}

func (f faults) checkListeners(c *Config) {
	for name, addr := range map[string]string{"HTTP_ADDR": c.HTTPAddr, "ADMIN_ADDR": c.AdminAddr} {
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			f.add(name, "is no HOST:PORT")
		} else if number, err := strconv.Atoi(port); err == nil && (number < 0 || number > 65535) {
			f.add(name, "has a port that is not within 0 and 65535")
		}
	}
	if c.HTTPAddr == c.AdminAddr && !strings.HasSuffix(c.HTTPAddr, ":0") {
		f.add("ADMIN_ADDR", "is the same as HTTP_ADDR, which would publish metrics and probes")
	}
	c.BasePath = strings.TrimSuffix(c.BasePath, "/")
	if !regexp.MustCompile(`^(/[A-Za-z0-9_-]+)*$`).MatchString(c.BasePath) {
		f.add("BASE_PATH", "is no path of letters, digits, - and _ that begins with a slash")
	}
	for _, origin := range c.AllowedOrigins {
		if err := checkOrigin(origin, c.Environment); err != nil {
			f.add("ALLOWED_ORIGINS", err.Error())
		}
	}
	for _, cidr := range c.TrustedProxies {
		prefix, err := parseProxy(cidr)
		if err != nil {
			f.add("TRUSTED_PROXIES", err.Error())
		}
		c.proxies = append(c.proxies, prefix)
	}
}

func (f faults) checkAuth(c *Config) {
	if len(c.AuthModes) == 0 {
		f.add("AUTH_MODES", "is required: without a mode nobody can sign in")
	}
	for i, mode := range c.AuthModes {
		if slices.Contains(c.AuthModes[:i], mode) {
			f.add("AUTH_MODES", mode+" is named twice")
			continue
		}
		switch mode {
		case "bearer":
			f.checkBearer(c)
		case "forward":
			f.checkForward(c)
			if i < len(c.AuthModes)-1 {
				f.add("AUTH_MODES", "forward has to be the last one: it takes every cookie for the application's, the session's included")
			}
		case "proxy":
			f.checkProxy(c)
			if i > 0 {
				f.add("AUTH_MODES", "proxy has to be the first one: its headers are refused from anybody else, whatever other credential a request has")
			}
		case "oidc":
			f.checkOIDC(c)
		default:
			f.add("AUTH_MODES", fmt.Sprintf("%q is no mode: there are bearer, oidc, forward and proxy", mode))
		}
	}
}

func (f faults) checkBearer(c *Config) {
	f.checkRequired("AUTH_BEARER_AUDIENCE", c.BearerAudience)
	f.checkRequired("AUTH_BEARER_ISSUER", c.BearerIssuer)
	for name, value := range map[string]string{"AUTH_BEARER_ISSUER": c.BearerIssuer, "AUTH_BEARER_JWKS_URL": c.BearerJWKSURL} {
		if err := checkIdentityURL(value, c.Environment); value != "" && err != nil {
			f.add(name, err.Error())
		}
	}
	if c.BearerTokenType != "" && c.BearerTokenType != "at+jwt" {
		f.add("AUTH_BEARER_TOKEN_TYPE", "is neither empty nor at+jwt")
	}
	if c.BearerCookie != "" && !isToken(c.BearerCookie) {
		f.add("AUTH_BEARER_COOKIE", "is no name that a cookie can have")
	}
}

func (f faults) checkOIDC(c *Config) {
	f.checkRequired("AUTH_OIDC_ISSUER", c.OIDCIssuer)
	f.checkRequired("AUTH_OIDC_CLIENT_ID", c.OIDCClientID)
	f.checkSecret("AUTH_OIDC_CLIENT_SECRET", c.OIDCSecret)
	f.checkRequired("PUBLIC_URL", c.PublicURL)
	if err := checkIdentityURL(c.OIDCIssuer, c.Environment); c.OIDCIssuer != "" && err != nil {
		f.add("AUTH_OIDC_ISSUER", err.Error())
	}
	if err := checkPublicURL(c.PublicURL, c.Environment); c.PublicURL != "" && err != nil {
		f.add("PUBLIC_URL", err.Error())
	}
	if !slices.Contains(strings.Fields(c.OIDCScopes), "openid") {
		f.add("AUTH_OIDC_SCOPES", "has to hold openid: without it there is no ID token")
	}
	if slices.Contains(c.AuthModes, "bearer") {
		f.checkBoth(c)
	}
	f.checkSessions(c)
}

// checkBoth is for bearer and oidc together. Their users are one population, so
// somebody else must not be able to issue tokens for them; and the ID token of a
// sign-in, which travels in addresses, must not be a bearer token.
func (f faults) checkBoth(c *Config) {
	if c.OIDCIssuer != c.BearerIssuer && c.OIDCIssuer != "" && c.BearerIssuer != "" {
		f.add("AUTH_OIDC_ISSUER", "is not AUTH_BEARER_ISSUER: the same user id would be two people")
	}
	if c.OIDCClientID == c.BearerAudience && c.OIDCClientID != "" && c.BearerTokenType == "" {
		f.add("AUTH_BEARER_AUDIENCE", "is AUTH_OIDC_CLIENT_ID, so that ID tokens would be bearer tokens: demand AUTH_BEARER_TOKEN_TYPE=at+jwt, or name another audience")
	}
}

func (f faults) checkSessions(c *Config) {
	switch c.SessionStore {
	case "memory":
	case "redis":
		f.checkRequired("REDIS_URL", c.RedisURL.Reveal())
	default:
		f.add("SESSION_STORE", fmt.Sprintf("%q is neither memory nor redis", c.SessionStore))
	}
	c.sealing = keyring.Of(c.OIDCSecret)
	if !c.SessionKeys.IsZero() {
		var err error
		if c.sealing, err = keyring.Parse(c.SessionKeys); err != nil {
			f.add("SESSION_KEYS", err.Error())
		}
		f.checkKeys("SESSION_KEYS", c.SessionKeys)
	}
	f.checkWithin("SESSION_IDLE_TIMEOUT", c.SessionIdle, time.Minute, 24*time.Hour)
	f.checkWithin("SESSION_LIFETIME", c.SessionLifetime, 5*time.Minute, 30*24*time.Hour)
	switch c.SessionSameSite {
	case "strict":
		c.sameSite = http.SameSiteStrictMode
	case "lax":
		c.sameSite = http.SameSiteLaxMode
	case "none":
		c.sameSite = http.SameSiteNoneMode
		if !strings.HasPrefix(c.PublicURL, "https://") {
			f.add("SESSION_SAMESITE", "is none, which browsers take with https alone, and PUBLIC_URL is not https")
		}
	default:
		f.add("SESSION_SAMESITE", fmt.Sprintf("%q is none of strict, lax and none", c.SessionSameSite))
	}
}

func (f faults) checkRedis(c *Config) {
	if c.RedisURL.IsZero() {
		return
	}
	client, err := openRedis(c.RedisURL)
	if err != nil {
		f.add("REDIS_URL", err.Error())
		return
	}
	_ = client.Close() // which has not connected
	if c.needsTLS(overRedis) && !redisIsPrivate(client.Options()) {
		f.add("REDIS_URL", "reaches another machine without verified TLS: use rediss:// without skip_verify, or set ALLOW_PLAINTEXT=redis where a mesh encrypts")
	}
}

// checkPublicURL accepts an origin. Over http only a browser on this machine
// can be meant: the session's cookie could be read, and set, by anybody on the
// way (RFC 6265bis, 4.1.3: __Host- needs https).
func checkPublicURL(raw string, environment clienttoken.Environment) error {
	if err := checkOrigin(raw, environment); err != nil {
		return fmt.Errorf("%w; a path belongs into BASE_PATH", err)
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return fmt.Errorf("%q is not https", raw)
	}
	return nil
}

func (f faults) checkForward(c *Config) {
	f.checkRequired("AUTH_FORWARD_URL", c.ForwardURL)
	if err := checkIdentityURL(c.ForwardURL, c.Environment); c.ForwardURL != "" && err != nil {
		f.add("AUTH_FORWARD_URL", err.Error())
	}
	f.checkWithin("AUTH_FORWARD_CACHE", c.ForwardCache, 0, 5*time.Minute)
}

// checkProxy demands what tells the proxy from everybody else: an address and a
// secret, since either can be had by somebody in the same network.
func (f faults) checkProxy(c *Config) {
	f.checkSecret("AUTH_PROXY_SECRET", c.ProxySecret)
	if len(c.TrustedProxies) == 0 {
		f.add("TRUSTED_PROXIES", "is required for the mode proxy: the proxy's own addresses")
	}
	for _, prefix := range c.proxies {
		if prefix.Bits() == 0 {
			f.add("TRUSTED_PROXIES", fmt.Sprintf("%s is everybody's address, and not the proxy's", prefix))
		}
	}
	if !isToken(c.ProxyHeader) || slices.Contains([]string{"authorization", "cookie", "x-proxy-secret"}, strings.ToLower(c.ProxyHeader)) {
		f.add("AUTH_PROXY_HEADER", "is no header that can hold a user's id")
	}
	if c.CustomerSource == "claim" {
		f.add("CUSTOMER_SOURCE", "is claim, and the mode proxy has no claims: its users would seem to have no Customer, and could create another one")
	}
}

// isToken reports whether s can name a cookie or a header (RFC 9110, 5.6.2).
func isToken(s string) bool {
	return regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$").MatchString(s)
}

// checkIdentityURL demands https where money is real: whoever can change the
// keys, or the answer about who is signed in, on their way can be anybody.
func checkIdentityURL(raw string, environment clienttoken.Environment) error {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(raw, ` "<>`+"`") {
		return fmt.Errorf("%s is no absolute URL without user info, query and fragment", shown(raw))
	}
	if u.Scheme != "https" && (u.Scheme != "http" || environment == clienttoken.Production) {
		return fmt.Errorf("%q is not https", raw)
	}
	return nil
}

// mayHoldSecret reports whether a URL has a part in which people put passwords
// and keys. None that is no secret by itself may have one.
func mayHoldSecret(raw string) bool { return strings.ContainsAny(raw, "@?#") }

// shown is a URL for the text of a fault, which ends up in logs.
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

func (f faults) checkRequired(name, value string) {
	if value == "" && len(f[name]) == 0 && len(f[name+"_FILE"]) == 0 {
		f.add(name, "is required")
	}
}

func (f faults) checkWithin(name string, d, least, most time.Duration) {
	if len(f[name]) == 0 && (d < least || d > most) {
		f.add(name, fmt.Sprintf("%s is not within %s and %s", d, least, most))
	}
}
