package auth

import (
	"context"
	"crypto/cipher"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/auth/session"
	"dropgate/internal/clienttoken"
	"dropgate/internal/httpbody"
	"dropgate/internal/keyring"
	"dropgate/internal/ratelimit"
)

const oidcName = "oidc"

// OIDCConfig says how users sign in with OpenID Connect. All fields but
// AllowedOrigins and SealingKeys are required.
type OIDCConfig struct {
	Issuer       string
	ClientID     string
	ClientSecret clienttoken.Secret
	// SealingKeys are for the records of sign-ins: the first one seals, all open.
	// Without them the key derives from ClientSecret.
	SealingKeys keyring.Ring
	Scopes      []string // openid among them
	// UserClaim names the claim of the ID token that holds the user's id.
	// With "email", email_verified has to be true.
	UserClaim string
	// Claims are the names of other claims that a session keeps.
	Claims []string
	// Origin is where browsers reach the service, without a slash at the end.
	// It begins with https:// unless it is this machine's own.
	Origin   string
	BasePath string // put before every route; empty or "/dropgate"
	// AllowedOrigins are other origins to which a browser may be sent after the
	// sign-in.
	AllowedOrigins []string
	// SameSite is that of the session's cookie: Strict, or what an application
	// on another site needs.
	SameSite http.SameSite
	Sessions session.Store
	// Ended takes note of each session that ends before its time. Its error is
	// that of the request; the session has ended all the same. Nil: nobody does.
	Ended      func(ctx context.Context, e Ended) error
	Keys       *KeySet // of the issuer
	Transport  http.RoundTripper
	Registerer prometheus.Registerer
}

// Ended is a session that ended before its time.
type Ended struct {
	UserID string
	// Why is "logout", "backchannel_logout", "replaced" (by another sign-in of the
	// same browser) or "displaced" (by more sign-ins of the same user than are
	// kept).
	Why string
}

// OIDC is the mode for browsers that hold nothing but a cookie: users sign in at
// an OpenID provider by the authorization code flow with PKCE (OpenID Connect
// Core 1.0, RFC 7636, RFC 9700), and the service keeps a session of its own.
// No access token and no refresh token of a user is kept.
type OIDC struct {
	config   OIDCConfig
	kept     keptClaims
	provider *discovery
	http     *http.Client // for the token endpoint
	targets  returnTargets
	cookies  cookies
	seals    []cipher.AEAD // of login records: the first one seals, all open
	metrics  oidcMetrics
	notices  notices // logout tokens that have not taken effect yet
	redeemed *redeemed
}

// exchangeTimeout bounds the exchange of a code.
const exchangeTimeout = 10 * time.Second

// NewOIDC returns the mode. It does not connect: the service starts while the
// provider is down. It panics without what tells its users from others.
func NewOIDC(c OIDCConfig) *OIDC {
	if c.Issuer == "" || c.ClientID == "" || c.ClientSecret.IsZero() || c.UserClaim == "" || c.Origin == "" {
		panic("auth: oidc mode without issuer, client, user claim or origin")
	}
	if c.SealingKeys.Len() == 0 {
		c.SealingKeys = keyring.Of(c.ClientSecret)
	}
	secure := strings.HasPrefix(c.Origin, "https://")
	return &OIDC{
		config:   c,
		kept:     newKeptClaims(c.UserClaim, c.Claims),
		provider: &discovery{issuer: c.Issuer, documents: newDocuments(c.Transport), keys: c.Keys},
		http: &http.Client{
			Transport: httpbody.Buffer(c.Transport, maxDocument),
			Timeout:   exchangeTimeout,
			// A redirect would carry the code and the secret elsewhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		targets:  returnTargets{own: c.Origin, allowed: c.AllowedOrigins},
		cookies:  cookies{secure: secure, sameSite: c.SameSite},
		seals:    newSeals(c.SealingKeys),
		metrics:  newOIDCMetrics(c.Registerer),
		redeemed: newRedeemed(),
	}
}

// Name returns "oidc".
func (o *OIDC) Name() string { return oidcName }

// Authenticate finds the session of the request's cookie. A request that
// changes something uses the session; GET does not, so that a page that polls
// does not keep it.
func (o *OIDC) Authenticate(r *http.Request, charge *ratelimit.Charge) (Session, error) {
	key, err := o.cookies.session(r)
	if err != nil {
		return Session{}, err
	}
	effect := session.Extend
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		effect = session.Peek
	}
	s, err := o.config.Sessions.Find(r.Context(), key, effect, charge)
	if errors.Is(err, session.ErrNone) {
		return Session{}, &Rejection{Mode: oidcName, Reason: "the session has ended, or never was"}
	}
	return o.session(s), err
}

func (o *OIDC) session(s session.Session) Session {
	return Session{User: s.User, Mode: oidcName, ByCookie: true, Expires: s.Expires, SignedOut: s.Over}
}

// start begins a session in the place of the one that the browser had, if it
// had one, and adds its cookie to the login. With an error there is no session.
func (o *OIDC) start(ctx context.Context, login *Login, s session.Session, record loginRecord) error {
	by := session.SignIn{Once: record.State, Began: record.Began}
	if len(record.Replaces) == len(by.Replaces) {
		by.Replaces = session.Key(record.Replaces)
	}
	before := o.replaced(ctx, by.Replaces)
	id := session.NewID()
	login.key, _ = session.KeyOf(id.Reveal()) // what NewID makes is one
	ended, err := o.config.Sessions.Start(ctx, login.key, s, by)
	if err != nil {
		return err
	}
	o.metrics.started.Inc()
	err = errors.Join(
		o.ended(ctx, "replaced", slices.Repeat([]session.Session{before}, ended.Replaced)),
		o.ended(ctx, "displaced", slices.Repeat([]session.Session{s}, ended.Displaced)),
	)
	if err != nil {
		o.Withdraw(ctx, login)
		return err
	}
	login.Cookies = append(login.Cookies, o.cookies.newSession(id))
	login.User = s.User.ID
	return nil
}

// replaced is the session that a sign-in will end, as far as that is known.
func (o *OIDC) replaced(ctx context.Context, key session.Key) session.Session {
	if key == (session.Key{}) || o.config.Ended == nil {
		return session.Session{}
	}
	s, _ := o.config.Sessions.Find(ctx, key, session.Peek, nil) // an outage stops the sign-in next
	return s
}

// ended counts sessions that have ended, and reports each.
func (o *OIDC) ended(ctx context.Context, why string, sessions []session.Session) error {
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

// Withdraw ends the session of a sign-in whose answer must not leave, and takes
// its cookie out of the login. A session that a store does not end now is of no
// use to anybody: its id has not left the service.
func (o *OIDC) Withdraw(ctx context.Context, login *Login) {
	_, _ = o.config.Sessions.End(context.WithoutCancel(ctx), session.Which{Key: login.key})
	name := o.cookies.name("session")
	login.Cookies = slices.DeleteFunc(login.Cookies, func(c *http.Cookie) bool { return c.Name == name })
	login.User = ""
}

type oidcMetrics struct {
	logins  *prometheus.CounterVec // outcome, reason
	started prometheus.Counter
	ended   *prometheus.CounterVec // reason
}

func newOIDCMetrics(r prometheus.Registerer) oidcMetrics {
	m := oidcMetrics{
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dropgate_logins_total",
			Help: "Sign-ins with OpenID Connect by outcome (succeeded or failed) and reason (none, or the code that the error page shows).",
		}, []string{"outcome", "reason"}),
		started: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "dropgate_sessions_started_total",
			Help: "Sessions that began with a sign-in.",
		}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dropgate_sessions_ended_total",
			Help: "Sessions that were ended by reason: logout, backchannel_logout, replaced (by another sign-in of the same browser) or displaced (by more sign-ins of the same user than are kept). Those that nobody used any more are not counted: nobody sees them end.",
		}, []string{"reason"}),
	}
	for _, reason := range []string{"logout", "backchannel_logout", "replaced", "displaced"} {
		m.ended.WithLabelValues(reason)
	}
	r.MustRegister(m.logins, m.started, m.ended)
	return m
}
