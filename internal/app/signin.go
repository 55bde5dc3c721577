package app

import (
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/auth"
	"dropgate/internal/auth/session"
	"dropgate/internal/clienttoken"
	"dropgate/internal/handler"
	"dropgate/internal/notice"
	"dropgate/internal/ratelimit"
)

// signIn identifies users. A part that AUTH_MODES does not need is nil.
type signIn struct {
	chain    *auth.Chain
	oidc     *auth.OIDC
	proxy    *auth.Proxy
	keys     *auth.KeySet   // for bearer and oidc
	sessions *session.Redis // nil unless oidc keeps sessions in Redis
}

// openSignIn builds the modes in the order of AUTH_MODES.
func (a *App) openSignIn(registry prometheus.Registerer, limits *ratelimit.Limiter) signIn {
	c := a.config
	var s signIn
	if slices.Contains(c.AuthModes, "bearer") || slices.Contains(c.AuthModes, "oidc") {
		s.keys = a.openKeys(registry)
	}
	modes := make([]auth.Mode, 0, len(c.AuthModes))
	for _, mode := range c.AuthModes {
		switch mode {
		case "bearer":
			modes = append(modes, auth.NewBearer(auth.BearerConfig{
				Issuer:    c.BearerIssuer,
				Audience:  c.BearerAudience,
				Header:    c.BearerHeader,
				Cookie:    c.BearerCookie,
				TokenType: c.BearerTokenType,
				ClientIDs: c.BearerClientIDs,
				Required:  c.BearerRequired,
				UserClaim: c.UserClaim,
				Claims:    c.claims(),
				Keys:      s.keys,
			}))
		case "oidc":
			var store session.Store
			s.sessions, store = a.openSessions(registry, limits)
			s.oidc = a.openOIDC(registry, s.keys, store)
			modes = append(modes, s.oidc)
		case "forward":
			modes = append(modes, auth.NewForward(auth.ForwardConfig{
				URL:           c.ForwardURL,
				Cache:         c.ForwardCache,
				UserClaim:     c.UserClaim,
				Claims:        c.claims(),
				ClientAddress: handler.ClientAddress,
				SetCookies:    c.ForwardCookies,
				Transport:     a.egress,
				Outcome:       a.forwardCalls.note,
				Logger:        a.log,
			}))
		case "proxy":
			s.proxy = auth.NewProxy(auth.ProxyConfig{
				Header:  c.ProxyHeader,
				Secret:  c.ProxySecret,
				Trusted: c.proxies,
			})
			modes = append(modes, s.proxy)
		}
	}
	s.chain = auth.NewChain(registry, modes...).CompareUserIDs(c.userIDs())
	return s
}

// claims returns the names of the claims to read after sign-in.
func (c Config) claims() []string {
	names := []string{"name", "email"}
	if c.CustomerSource == "claim" {
		names = append(names, c.CustomerClaim)
	}
	return names
}

// openKeys returns the keys of the identity provider, which bearer and oidc share.
// Settings of an unused mode were not checked, so they never decide whose keys to
// trust.
func (a *App) openKeys(registry prometheus.Registerer) *auth.KeySet {
	issuer, url, discovery := a.config.OIDCIssuer, "", ""
	if slices.Contains(a.config.AuthModes, "oidc") {
		discovery = a.config.OIDCDiscovery
	}
	if slices.Contains(a.config.AuthModes, "bearer") {
		issuer, url = a.config.BearerIssuer, a.config.BearerJWKSURL
	}
	return auth.NewKeySet(auth.KeySetConfig{
		Issuer:     issuer,
		URL:        url,
		Discovery:  discovery,
		Transport:  a.egress,
		Logger:     a.log,
		Registerer: registry,
	})
}

// openSessions returns the session store. The first result is nil for a store in
// memory.
func (a *App) openSessions(registry prometheus.Registerer, limiter *ratelimit.Limiter) (*session.Redis, session.Store) {
	c := a.config
	limits := session.Limits{Idle: c.SessionIdle, Lifetime: c.SessionLifetime, Now: time.Now}
	if c.SessionStore != "redis" {
		if c.Environment == clienttoken.Production {
			a.log.Warn().Msg("SESSION_STORE is memory: sessions end with this process, and no other replica knows them")
		}
		return nil, session.NewMemory(limits)
	}
	store := session.NewRedis(session.RedisConfig{
		Client:     a.redis,
		Tag:        c.redisTag(),
		Limits:     limits,
		Keys:       c.sealing,
		Scope:      session.Scope{Issuer: c.OIDCIssuer, ClientID: c.OIDCClientID, UserClaim: c.UserClaim, Origin: c.PublicURL},
		UserLimit:  limiter.UserKey,
		Announce:   func(name string) { a.notices.Send(notice.Notice{Topic: sessionTopic, Name: name}) },
		Logger:     a.log,
		Registerer: registry,
	})
	return store, store
}

func (a *App) openOIDC(registry prometheus.Registerer, keys *auth.KeySet, store session.Store) *auth.OIDC {
	c := a.config
	if strings.HasPrefix(c.PublicURL, "http://") {
		a.log.Warn().Msg("PUBLIC_URL is not https: cookies lack Secure and __Host-; use it only to try the service on this machine")
	}
	return auth.NewOIDC(auth.OIDCConfig{
		Issuer:         c.OIDCIssuer,
		ClientID:       c.OIDCClientID,
		ClientSecret:   c.OIDCSecret,
		ClientKeys:     c.clientKeys,
		ClientAuth:     auth.ClientAuth(c.OIDCClientAuth),
		NoPush:         c.OIDCPush == "off",
		Parameters:     c.oidcParams,
		PassParameters: c.OIDCPassed,
		SecretRefused:  a.refusedOnce("AUTH_OIDC_CLIENT_SECRET"),
		SealingKeys:    c.sealing,
		Scopes:         strings.Fields(c.OIDCScopes),
		UserClaim:      c.UserClaim,
		Claims:         c.claims(),
		Origin:         c.PublicURL,
		BasePath:       c.BasePath,
		AllowedOrigins: c.AllowedOrigins,
		AppURL:         c.AppURL,
		ErrorURL:       c.SignInErrorURL,
		SameSite:       c.sameSite,
		Partitioned:    c.Partitioned,
		Ended:          handler.SignedOut(a.trail),
		Sessions:       session.Observe(store, registry),
		Keys:           keys,
		Transport:      a.egress,
		Registerer:     registry,
	})
}
