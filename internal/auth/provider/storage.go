package provider

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

const (
	requestLife = 10 * time.Minute
	codeLife    = time.Minute
)

// storage holds the provider's state in memory. It implements op.Storage.
type storage struct {
	unsupported

	options Options
	keys    *signingKeys
	users   *users

	mu       sync.Mutex
	clients  map[string]Client       // by ID
	requests expiring[request]       // pending, by ID
	codes    expiring[request]       // by code
	tokens   expiring[string]        // sid by access token
	sessions expiring[storedSession] // by sid
}

func newStorage(o Options, keys *signingKeys, known *users) *storage {
	return &storage{
		options:  o,
		keys:     keys,
		users:    known,
		clients:  map[string]Client{},
		requests: newExpiring[request](requestLife),
		codes:    newExpiring[request](codeLife),
		tokens:   newExpiring[string](o.Life),
		sessions: newExpiring[storedSession](sessionLife),
	}
}

// errSignInOver refuses an id or a code that is used, expired or unknown.
var errSignInOver = errors.New("this sign-in has expired or does not exist")

// refusal adds a description to one of op's errors.
func refusal(kind *oidc.Error, why string) error {
	kind.Description = why
	return kind
}

func (s *storage) addClient(c Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients[c.ID] = c
}

// request finds a pending authorization request.
func (s *storage) request(id string) (request, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests.get(id)
}

// dropRequest forgets a request that ends without a code.
func (s *storage) dropRequest(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests.take(id)
}

// answer stores the session that answers a pending request.
func (s *storage) answer(id string, by session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, pending := s.requests.get(id); pending {
		r.session = by
		s.requests.put(id, r)
	}
}

// CreateAuthRequest stores a request that op has validated. It refuses what op
// supports but the discovery document does not offer.
func (s *storage) CreateAuthRequest(_ context.Context, asked *oidc.AuthRequest, hintedUser string) (op.AuthRequest, error) {
	switch {
	case !slices.Contains(asked.Scopes, oidc.ScopeOpenID):
		return nil, refusal(oidc.ErrInvalidScope(), "the scope must contain openid")
	case asked.ResponseMode != "" && asked.ResponseMode != oidc.ResponseModeQuery:
		return nil, refusal(oidc.ErrInvalidRequest(), "the only response_mode is query")
	case asked.CodeChallenge != "" && asked.CodeChallengeMethod != oidc.CodeChallengeMethodS256:
		return nil, refusal(oidc.ErrInvalidRequest(), "the only code_challenge_method is S256")
	}
	r := request{AuthRequest: asked, id: rand.Text(), hintedUser: hintedUser}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests.put(r.id, r)
	return r, nil
}

// AuthRequestByID finds a pending request.
func (s *storage) AuthRequestByID(_ context.Context, id string) (op.AuthRequest, error) {
	r, pending := s.request(id)
	if !pending {
		return nil, errSignInOver
	}
	return r, nil
}

// SaveAuthCode turns a pending request into a code. Each request gets one code.
func (s *storage) SaveAuthCode(_ context.Context, id, code string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, pending := s.requests.take(id)
	if !pending {
		return errSignInOver
	}
	s.codes.put(code, r)
	return nil
}

// AuthRequestByCode finds the request for a code. The first attempt uses the code
// up, even if it fails: op calls this before it checks the client's secret and
// the verifier, and two concurrent attempts must not both succeed.
func (s *storage) AuthRequestByCode(_ context.Context, code string) (op.AuthRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, found := s.codes.take(code)
	if !found {
		return nil, errSignInOver
	}
	return r, nil
}

// DeleteAuthRequest does nothing: AuthRequestByCode has removed the request.
func (s *storage) DeleteAuthRequest(context.Context, string) error { return nil }

// CreateAccessToken adds the client to the browser session, so that the client
// gets a logout token when the session ends.
func (s *storage) CreateAccessToken(_ context.Context, asked op.TokenRequest) (string, time.Time, error) { //nolint:revive // op's signature
	r, ok := asked.(request)
	if !ok {
		return "", time.Time{}, refusal(oidc.ErrUnsupportedGrantType(), "the only grant_type is authorization_code")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	in, live := s.sessions.get(r.session.sid)
	if !live {
		return "", time.Time{}, refusal(oidc.ErrInvalidGrant(), "the user has signed out")
	}
	in.clients[r.ClientID] = true
	id := rand.Text()
	s.tokens.put(id, r.session.sid)
	return id, time.Now().Add(s.options.Life), nil
}

// SigningKey returns the current key.
func (s *storage) SigningKey(context.Context) (op.SigningKey, error) {
	return webKey{s.keys.key()}, nil
}

// SignatureAlgorithms contains only RS256.
func (s *storage) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.RS256}, nil
}

// KeySet returns the keys that verify id_token_hint. It includes retired keys,
// which are not published: a browser can sign out with an old ID token.
func (s *storage) KeySet(context.Context) ([]op.Key, error) {
	var keys []op.Key
	for _, k := range s.keys.all() {
		keys = append(keys, webKey{k})
	}
	return keys, nil
}

// GetClientByClientID finds an application.
func (s *storage) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, known := s.clients[id]
	if !known {
		return nil, refusal(oidc.ErrInvalidClient(), "no such client")
	}
	return registration{client: c, browserURL: s.options.BrowserURL, life: s.options.Life}, nil
}

// AuthorizeClientIDSecret checks the client's secret.
func (s *storage) AuthorizeClientIDSecret(_ context.Context, id, secret string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.clients[id].hasSecret(secret) {
		return errors.New("wrong client secret")
	}
	return nil
}

// SetUserinfoFromRequest fills an ID token.
func (s *storage) SetUserinfoFromRequest(_ context.Context, info *oidc.UserInfo, asked op.IDTokenRequest, _ []string) error {
	s.setClaims(info, asked.GetSubject())
	if r, ok := asked.(request); ok {
		info.AppendClaims("sid", r.session.sid)
	}
	return nil
}

// SetUserinfoFromToken fills the answer of /userinfo. The access token is valid
// as long as its session.
func (s *storage) SetUserinfoFromToken(_ context.Context, info *oidc.UserInfo, token, _, _ string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	sid, _ := s.tokens.get(token)
	in, live := s.sessions.get(sid)
	if !live {
		return refusal(oidc.ErrAccessDenied(), "the session of the token has ended")
	}
	s.setClaims(info, in.user)
	return nil
}

func (s *storage) setClaims(info *oidc.UserInfo, user string) {
	info.Subject = user // op does not set sub
	claims, _ := s.users.of(user)
	for name, value := range claims {
		info.AppendClaims(name, value)
	}
}

// Health always succeeds.
func (s *storage) Health(context.Context) error { return nil }
