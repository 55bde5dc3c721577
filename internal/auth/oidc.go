package auth

import (
	"context"
	"crypto/cipher"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/auth/session"
	"dropgate/internal/clienttoken"
	"dropgate/internal/httpbody"
	"dropgate/internal/keyring"
	"dropgate/internal/ratelimit"
	"dropgate/internal/rotation"
)

const oidcName = "oidc"

// OIDCConfig configures sign-ins with OpenID Connect. Required are all fields
// except those of the client's authentication, SecretRefused, SealingKeys, Claims,
// BasePath, AllowedOrigins, AppURL, ErrorURL, Ended, and the parameters.
type OIDCConfig struct {
	Issuer       string
	ClientID     string
	ClientSecret clienttoken.Secret // or several, one per line; empty for other ways to authenticate
	ClientKeys   []*ClientKey       // for private_key_jwt
	ClientAuth   ClientAuth         // empty: the provider's discovery document chooses
	NoPush       bool               // sends the parameters of a sign-in with the browser, even if they could be pushed
	Parameters   url.Values         // fixed ones of every sign-in
	// PassParameters names the parameters of /auth/login that the provider gets.
	PassParameters []string
	// SecretRefused is called when the provider refuses a client secret for the first
	// time since a change, and another one is tried. It may be nil.
	SecretRefused func()
	// SealingKeys encrypt login records with the first key, and decrypt them with
	// any. Without them the keys derive from ClientSecret, which must not be empty then.
	SealingKeys keyring.Ring
	Scopes      []string // openid among them
	// UserClaim names the claim of the ID token with the user's id. With
	// "email", email_verified must be true.
	UserClaim string
	// Claims names other claims to keep in a session.
	Claims []string
	// Origin is the public origin of the service, without a trailing slash. It
	// is https, except on localhost.
	Origin   string
	BasePath string // prefix of every route; empty or "/dropgate"
	// AllowedOrigins lists other origins to return to after a sign-in.
	AllowedOrigins []string
	// AppURL is the application's start page, and ErrorURL its page for failed
	// sign-ins. [CheckReturnTo] accepts both. Without them the start page is the path /,
	// and the service has an error page of its own.
	AppURL, ErrorURL string
	// SameSite applies to the session cookie: Strict, or None for applications
	// on another site.
	SameSite http.SameSite
	// Partitioned is for an application in a frame of another site. It needs https and
	// SameSite None.
	Partitioned bool
	Sessions    session.Store
	// Ended is called for each session that ends early. Its error fails the
	// request, but the session has ended all the same. It may be nil.
	Ended      func(ctx context.Context, e Ended) error
	Keys       *KeySet // of the issuer, with its metadata
	Transport  http.RoundTripper
	Registerer prometheus.Registerer
}

// Ended is a session that ended early.
type Ended struct {
	UserID string
	// Why is "logout", "logout_everywhere", "backchannel_logout", "operator",
	// "replaced" (by another sign-in in the same browser) or "displaced" (by newer
	// sign-ins of a user with too many sessions).
	Why string
}

// OIDC is the mode with our own sign-in. Users sign in at an OpenID provider by
// the authorization code flow with PKCE (OpenID Connect Core 1.0, RFC 7636, RFC
// 9700), and the browser only gets a session cookie. The mode never stores a
// user's access token or refresh token.
type OIDC struct {
	config         OIDCConfig
	user           claim
	users          clienttoken.UserIDs
	claims         claimFilter
	http           *http.Client // for the token endpoint
	targets        returnTargets
	cookies        cookies
	secret         *rotation.Secret
	clientKeys     atomic.Pointer[[]*ClientKey]  // the first one that the provider accepts
	ciphers        atomic.Pointer[[]cipher.AEAD] // of login records: the first one encrypts
	metrics        oidcMetrics
	pendingLogouts pendingLogouts
	exchanges      *exchangeLimits
	pushes         callLimits
	misfits        atomic.Pointer[string] // the last ones in the log
}

// exchangeTimeout bounds the exchange of a code.
const exchangeTimeout = 10 * time.Second

// NewOIDC returns the mode. It does not connect, so the service can start while
// the provider is down. It panics without an issuer, a client, a user claim or an
// origin.
func NewOIDC(c OIDCConfig) *OIDC {
	if c.Issuer == "" || c.ClientID == "" || c.ClientSecret.IsZero() && c.SealingKeys.Len() == 0 || c.UserClaim == "" || c.Origin == "" {
		panic("auth: oidc mode without issuer, client, user claim or origin")
	}
	if c.Partitioned && (c.SameSite != http.SameSiteNoneMode || !strings.HasPrefix(c.Origin, "https://")) {
		panic("auth: partitioned cookies without https or SameSite None")
	}
	if c.SealingKeys.Len() == 0 {
		c.SealingKeys = keyring.Of(rotation.Values(c.ClientSecret)...)
	}
	secure := strings.HasPrefix(c.Origin, "https://")
	o := &OIDC{
		config: c,
		secret: rotation.New(c.ClientSecret),
		user:   mustClaim(c.UserClaim),
		users:  clienttoken.UserIDs{Emails: NamesEmail(c.UserClaim)},
		claims: newClaimFilter(c.UserClaim, c.Claims),
		http: &http.Client{
			Transport: httpbody.Buffer(c.Transport, maxDocument),
			Timeout:   exchangeTimeout,
			// A redirect would send the code and the secret elsewhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		targets:   newReturnTargets(c),
		cookies:   cookies{secure: secure, sameSite: c.SameSite, partitioned: c.Partitioned},
		metrics:   newOIDCMetrics(c.Registerer),
		exchanges: newExchangeLimits(),
		pushes:    newCallLimits(),
	}
	o.RotateClientKeys(c.ClientKeys)
	o.RotateKeys(c.SealingKeys)
	c.Keys.metadata.onFetch(o.logMisfits)
	return o
}

// RotateSecret replaces the client secret. There may be several, one per line.
func (o *OIDC) RotateSecret(secrets clienttoken.Secret) { o.secret.Set(secrets) }

// RotateClientKeys replaces the keys of private_key_jwt.
func (o *OIDC) RotateClientKeys(keys []*ClientKey) { o.clientKeys.Store(&keys) }

// RotateKeys replaces the keys of login records.
func (o *OIDC) RotateKeys(keys keyring.Ring) {
	ciphers := newRecordCiphers(keys)
	o.ciphers.Store(&ciphers)
}

// Name returns "oidc".
func (o *OIDC) Name() string { return oidcName }

// Authenticate finds the session of the request's cookie. GET and HEAD do not
// extend the session, so that polling pages do not keep it alive. Nor does a request
// that names no origin: it is refused later, and must have no effect.
func (o *OIDC) Authenticate(r *http.Request, charge *ratelimit.Charge) (Session, error) {
	key, err := o.cookies.session(r)
	if err != nil {
		return Session{}, err
	}
	effect := session.Extend
	if r.Method == http.MethodGet || r.Method == http.MethodHead || !NamesOrigin(r) {
		effect = session.Peek
	}
	s, err := o.config.Sessions.Find(r.Context(), key, effect, charge)
	if errors.Is(err, session.ErrNone) {
		return Session{}, &Rejection{Mode: oidcName, Kind: SessionEnded, Reason: "the session has ended, or never existed"}
	}
	return o.session(s), err
}

func (o *OIDC) session(s session.Stored) Session {
	return Session{User: s.User, Mode: oidcName, ByCookie: true, Expires: s.Expires, SignedOut: s.Over}
}

// start starts a session, replaces the browser's previous one, and adds the new
// cookie to the login. After an error there is no session.
func (o *OIDC) start(ctx context.Context, login *Login, s session.Stored, record loginRecord) error {
	by := session.SignIn{Once: record.State, Began: record.Began}
	if len(record.Replaces) == len(by.Replaces) {
		by.Replaces = session.Key(record.Replaces)
	}
	before := o.replaced(ctx, by.Replaces)
	id := session.NewID()
	login.key, _ = session.KeyOf(id.Reveal()) // a new id is always valid
	ended, err := o.config.Sessions.Start(ctx, login.key, s, by)
	if err != nil {
		return err
	}
	o.metrics.started.Inc()
	err = errors.Join(
		o.ended(ctx, "replaced", slices.Repeat([]session.Stored{before}, ended.Replaced)),
		o.ended(ctx, "displaced", slices.Repeat([]session.Stored{s}, ended.Displaced)),
	)
	if err != nil {
		o.Withdraw(ctx, login)
		return err
	}
	login.Cookies = append(login.Cookies, o.cookies.newSession(id))
	login.User = s.User.ID
	return nil
}

// replaced returns the session the sign-in is about to end, if it is known.
func (o *OIDC) replaced(ctx context.Context, key session.Key) session.Stored {
	if key == (session.Key{}) || o.config.Ended == nil {
		return session.Stored{}
	}
	s, _ := o.config.Sessions.Find(ctx, key, session.Peek, nil) // in an outage, the sign-in fails next
	return s
}

// ended counts and reports sessions that have ended.
func (o *OIDC) ended(ctx context.Context, why string, sessions []session.Stored) error {
	o.metrics.ended.WithLabelValues(why).Add(float64(len(sessions)))
	if o.config.Ended == nil {
		return nil
	}
	var first error
	for _, s := range sessions {
		if err := o.config.Ended(ctx, Ended{UserID: s.User.ID, Why: why}); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// Withdraw ends the session of a sign-in before its answer is sent, and removes
// its cookie from the login. If the store fails, the session is still useless,
// because its id has not left the service.
func (o *OIDC) Withdraw(ctx context.Context, login *Login) {
	_, _ = o.config.Sessions.End(context.WithoutCancel(ctx), session.Selector{Key: login.key})
	name := o.cookies.name("session")
	login.Cookies = slices.DeleteFunc(login.Cookies, func(c *http.Cookie) bool { return c.Name == name })
	login.User = ""
}
