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

// storage is what the provider remembers, and op's way to it.
type storage struct {
	unsupported

	options Options
	keys    *keyring

	mu       sync.Mutex
	clients  map[string]Client // by ID
	requests shelf[request]    // by ID, until a code is made of them
	codes    shelf[request]    // by code
	tokens   shelf[string]     // by access token: the sid
	sessions shelf[signedIn]   // by sid
}

func newStorage(o Options, keys *keyring) *storage {
	return &storage{
		options:  o,
		keys:     keys,
		clients:  map[string]Client{},
		requests: newShelf[request](requestLife),
		codes:    newShelf[request](codeLife),
		tokens:   newShelf[string](o.Life),
		sessions: newShelf[signedIn](sessionLife),
	}
}

// over is the answer to an id or a code that is used up, too old or made up.
func over() error { return errors.New("this sign-in is over, or never began") }

// refusal is one of op's errors, which op answers with, and why.
func refusal(kind *oidc.Error, why string) error {
	kind.Description = why
	return kind
}

func (s *storage) addClient(c Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients[c.ID] = c
}

// request is the pending authorization request with that id.
func (s *storage) request(id string) (request, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests.get(id)
}

// dropRequest is for a request that will not be answered with a code.
func (s *storage) dropRequest(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests.take(id)
}

// answer says who answers a pending request.
func (s *storage) answer(id string, by session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, pending := s.requests.get(id); pending {
		r.session = by
		s.requests.put(id, r)
	}
}

// CreateAuthRequest keeps a request that op has found to be good. It asks for
// what the discovery document says, of which op would take more.
func (s *storage) CreateAuthRequest(_ context.Context, asked *oidc.AuthRequest, about string) (op.AuthRequest, error) {
	switch {
	case !slices.Contains(asked.Scopes, oidc.ScopeOpenID):
		return nil, refusal(oidc.ErrInvalidScope(), "the scope must have openid")
	case asked.ResponseMode != "" && asked.ResponseMode != oidc.ResponseModeQuery:
		return nil, refusal(oidc.ErrInvalidRequest(), "the only response_mode is query")
	case asked.CodeChallenge != "" && asked.CodeChallengeMethod != oidc.CodeChallengeMethodS256:
		return nil, refusal(oidc.ErrInvalidRequest(), "the only code_challenge_method is S256")
	}
	r := request{AuthRequest: asked, id: rand.Text(), about: about}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests.put(r.id, r)
	return r, nil
}

// AuthRequestByID finds a pending request.
func (s *storage) AuthRequestByID(_ context.Context, id string) (op.AuthRequest, error) {
	r, pending := s.request(id)
	if !pending {
		return nil, over()
	}
	return r, nil
}

// SaveAuthCode makes a code of a pending request, which is then no longer
// pending: there is one code for each.
func (s *storage) SaveAuthCode(_ context.Context, id, code string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, pending := s.requests.take(id)
	if !pending {
		return over()
	}
	s.codes.put(code, r)
	return nil
}

// AuthRequestByCode finds the request behind a code. The code is used up by
// the first attempt, even by one that fails: op asks before it looks at the
// client's secret and the verifier, and two attempts at once must not both
// succeed.
func (s *storage) AuthRequestByCode(_ context.Context, code string) (op.AuthRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, found := s.codes.take(code)
	if !found {
		return nil, over()
	}
	return r, nil
}

// DeleteAuthRequest has nothing left to do once a code has been used.
func (s *storage) DeleteAuthRequest(context.Context, string) error { return nil }

// CreateAccessToken notes that the client is now signed in to from the browser
// session, so that it hears of the end of that session.
func (s *storage) CreateAccessToken(_ context.Context, asked op.TokenRequest) (string, time.Time, error) { //nolint:revive // the shape is op's
	r, ok := asked.(request)
	if !ok {
		return "", time.Time{}, refusal(oidc.ErrUnsupportedGrantType(), "the only grant_type is authorization_code")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	in, lasts := s.sessions.get(r.session.sid)
	if !lasts {
		return "", time.Time{}, refusal(oidc.ErrInvalidGrant(), "the user has signed out")
	}
	in.clients[r.ClientID] = true
	id := rand.Text()
	s.tokens.put(id, r.session.sid)
	return id, time.Now().Add(s.options.Life), nil
}

// SigningKey is the current key.
func (s *storage) SigningKey(context.Context) (op.SigningKey, error) {
	return webKey{s.keys.key()}, nil
}

// SignatureAlgorithms is RS256 alone.
func (s *storage) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.RS256}, nil
}

// KeySet is what id_token_hint is verified with. It is not what is published: a
// hint only names a session, and the sign-out of a browser whose ID token is
// older than the key is to work.
func (s *storage) KeySet(context.Context) ([]op.Key, error) {
	var keys []op.Key
	for _, k := range s.keys.remembered() {
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
	return registration{client: c, issuer: s.options.Issuer, life: s.options.Life}, nil
}

// AuthorizeClientIDSecret tells whether a secret is that of the client.
func (s *storage) AuthorizeClientIDSecret(_ context.Context, id, secret string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.clients[id].proves(secret) {
		return errors.New("not the client's secret")
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

// SetUserinfoFromToken fills the answer of /userinfo, for as long as the
// session lasts from which the access token came.
func (s *storage) SetUserinfoFromToken(_ context.Context, info *oidc.UserInfo, token, _, _ string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	sid, _ := s.tokens.get(token)
	in, lasts := s.sessions.get(sid)
	if !lasts {
		return refusal(oidc.ErrAccessDenied(), "the token is no longer good")
	}
	s.setClaims(info, in.user)
	return nil
}

func (s *storage) setClaims(info *oidc.UserInfo, user string) {
	info.Subject = user // op would leave sub out
	for name, value := range s.options.Users[user] {
		info.AppendClaims(name, value)
	}
}

// Health is always good.
func (s *storage) Health(context.Context) error { return nil }
