package app

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"dropgate/internal/auth"
	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
	"dropgate/internal/keyring"
	"dropgate/internal/rotation"
)

// parse fills the typed fields of c. It skips unused modes, whose faults do not
// matter.
func (f faults) parse(c *Config) {
	var err error
	f.parseAPI(c)
	c.policy, err = clienttoken.ParsePolicy(c.AllowedActions)
	f.addError("ALLOWED_ACTIONS", err)
	c.BasePath = strings.TrimSuffix(c.BasePath, "/")
	f.parseHosts(c)
	f.parseEgress(c)
	f.parseTracing(c)
	if slices.Contains(c.AuthModes, "oidc") {
		f.parseSessions(c)
	}
	if !c.RedisURL.IsZero() {
		c.redis, err = parseRedis(c.RedisURL, c.RedisMode)
		f.addError("REDIS_URL", err)
	}
	if !c.EnrollmentKeys.IsZero() {
		c.enrollment, err = customer.ParseEnrollmentKeys(c.EnrollmentKeys)
		f.addError("ENROLLMENT_KEYS", err)
	}
	if !c.AdminToken.IsZero() {
		c.operators, err = parseOperators(c.AdminToken)
		f.addError("ADMIN_TOKEN", err)
	}
}

func (f faults) parseAPI(c *Config) {
	if _, err := clienttoken.NewAPI(c.Environment, ""); err != nil {
		f.add("DWOLLA_ENVIRONMENT", "must be sandbox or production")
		return
	}
	if mayHoldSecret(c.BaseURL) {
		f.add("DWOLLA_BASE_URL", shown(c.BaseURL)+" must not have user info, a query or a fragment")
		return
	}
	var err error
	c.api, err = clienttoken.NewAPI(c.Environment, c.BaseURL)
	f.addError("DWOLLA_BASE_URL", err)
}

// parseHosts also writes ADMIN_HOSTS as requests do.
func (f faults) parseHosts(c *Config) {
	for _, cidr := range c.TrustedProxies {
		prefix, err := parseProxy(cidr)
		if err != nil {
			f.addError("TRUSTED_PROXIES", err)
			continue
		}
		c.proxies = append(c.proxies, prefix)
	}
	for i, host := range c.AdminHosts {
		name, err := adminHost(host)
		if err != nil {
			f.add("ADMIN_HOSTS", shown(host)+" "+err.Error())
			continue
		}
		c.AdminHosts[i] = name
	}
}

func (f faults) parseSessions(c *Config) {
	var err error
	c.sameSite, err = parseSameSite(c.SessionSameSite)
	f.addError("SESSION_SAMESITE", err)
	c.sealing = keyring.Of(rotation.Values(c.OIDCSecret)...)
	if !c.OIDCKeys.IsZero() {
		c.clientKeys, err = auth.ParseClientKeys(c.OIDCKeys)
		f.addError("AUTH_OIDC_CLIENT_KEYS", err)
	}
	c.oidcParams, err = auth.ParseParameters(c.OIDCParams)
	f.addError("AUTH_OIDC_PARAMS", err)
	if len(c.OIDCPassed) == 1 && c.OIDCPassed[0] == "none" {
		c.OIDCPassed = nil
	}
	if !c.SessionKeys.IsZero() {
		c.sealing, err = keyring.Parse(c.SessionKeys)
		f.addError("SESSION_KEYS", err)
	}
}

func parseSameSite(text string) (http.SameSite, error) {
	switch text {
	case "strict":
		return http.SameSiteStrictMode, nil
	case "lax":
		return http.SameSiteLaxMode, nil
	case "none":
		return http.SameSiteNoneMode, nil
	}
	return 0, errors.New("must be strict, lax or none")
}
