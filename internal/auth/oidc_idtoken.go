package auth

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"dropgate/internal/auth/session"
	"dropgate/internal/clienttoken"
)

// signatureCheck lets go-oidc verify one token with our KeySet. It records the
// claims and the typed error, since go-oidc discards both.
type signatureCheck struct {
	keys   *KeySet
	from   tokenSource
	types  []string
	claims tokenClaims
	err    error
}

// VerifySignature implements oidc.KeySet.
func (s *signatureCheck) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	v, err := s.keys.verify(ctx, token, s.from, s.types...)
	if errors.Is(err, errKeysNotFresh) {
		// The token may be good, and the sender may have no other.
		err = s.keys.unavailable(s.from, err.Error())
	}
	s.claims, s.err = v.claims, err
	if err != nil {
		return nil, err
	}
	return exactMembers(v.claims.payload)
}

// exactMembers returns the claims for go-oidc, in their exact spelling. go-oidc
// would also read "ISS" as iss, and use the last one.
func exactMembers(payload json.RawMessage) ([]byte, error) {
	var given map[string]json.RawMessage
	if err := json.Unmarshal(payload, &given); err != nil {
		return nil, invalidTokenError("the claims are not a JSON object")
	}
	exact := map[string]json.RawMessage{}
	for _, name := range []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid", "nonce", "events"} {
		if value, ok := given[name]; ok {
			exact[name] = value
		}
	}
	return json.Marshal(exact) //nolint:wrapcheck // it was parsed from JSON
}

// idTokenAlgorithms lists the accepted signatures that the provider announces.
func (m providerMetadata) idTokenAlgorithms() []string {
	var accepted []string
	for _, algorithm := range algorithms() {
		name := string(algorithm)
		if announced := m.IDTokenAlgorithms; len(announced) == 0 || slices.Contains(announced, name) {
			accepted = append(accepted, name)
		}
	}
	return accepted
}

// verifier returns a go-oidc verifier for this client's ID tokens. The times are
// checked elsewhere.
func (o *OIDC) verifier(s *signatureCheck, accepted []string) *oidc.IDTokenVerifier {
	return oidc.NewVerifier(o.config.Issuer, s, &oidc.Config{
		ClientID: o.config.ClientID, SupportedSigningAlgs: accepted, SkipExpiryCheck: true,
	})
}

// maxHint bounds the ID token to keep for a sign-out at the provider, in bytes,
// since it travels in a URL.
const maxHint = 4 << 10

// tokens is an answer of the token endpoint.
type tokens struct {
	id     string
	access string
}

// identify returns a session for the user of an ID token (OpenID Connect Core 1.0,
// 3.1.3.7). Claims that it lacks come from the userinfo endpoint.
func (o *OIDC) identify(ctx context.Context, provider providerMetadata, t tokens, nonce string) (session.Stored, error) {
	checked, err := o.checkIDToken(ctx, provider, t, nonce)
	if err != nil {
		return session.Stored{}, err
	}
	subject := checked.standard.Subject
	from := sources{checked.all}
	if subject != "" && provider.UserinfoEndpoint != "" && t.access != "" && o.claims.missing(from) {
		more, err := o.userinfo(ctx, provider.UserinfoEndpoint, t.access, subject)
		if err != nil {
			return session.Stored{}, err
		}
		from = append(from, more)
	}
	user, err := userIDFrom(from, o.user)
	if err != nil {
		return session.Stored{}, &ProtocolError{"user_unknown", err.Error()}
	}
	if !clienttoken.ValidUserID(subject) {
		return session.Stored{}, &ProtocolError{"id_token_invalid", "sub is not 1 to 255 printable characters"}
	}
	sid, _ := checked.all["sid"].(string)
	hint := clienttoken.Secret{}
	if len(t.id) <= maxHint {
		hint = clienttoken.NewSecret(t.id)
	}
	return session.Stored{
		User:    clienttoken.User{ID: o.users.Canonical(user), Claims: o.claims.apply(from)},
		Subject: subject,
		SID:     sid,
		IDToken: hint,
	}, nil
}

// checkIDToken verifies the ID token of a sign-in, and returns its claims.
func (o *OIDC) checkIDToken(ctx context.Context, provider providerMetadata, t tokens, nonce string) (tokenClaims, error) {
	if t.id == "" {
		return tokenClaims{}, &ProtocolError{"id_token_missing", "the token endpoint's answer holds no ID token"}
	}
	s := signatureCheck{keys: o.config.Keys, from: fromProvider, types: []string{"jwt", ""}}
	accepted := provider.idTokenAlgorithms()
	if len(accepted) == 0 { // go-oidc would accept RS256
		return tokenClaims{}, &ProtocolError{"id_token_invalid", "the provider announces no accepted signature for ID tokens, only " + quoted(provider.IDTokenAlgorithms)}
	}
	if _, err := parseToken(t.id, s.types...); err != nil { // its reason is clearer than that of go-oidc
		return tokenClaims{}, &ProtocolError{"id_token_invalid", err.Error()}
	}
	_, err := o.verifier(&s, accepted).Verify(ctx, t.id)
	if err := o.idTokenError(s, err); err != nil {
		return tokenClaims{}, err
	}
	invalid := func(reason string) (tokenClaims, error) {
		return tokenClaims{}, &ProtocolError{"id_token_invalid", reason}
	}
	standard, all := s.claims.standard, s.claims.all
	if standard.Expiry == nil || standard.IssuedAt == nil {
		return invalid("exp or iat is missing")
	}
	if err := standard.ValidateWithLeeway(jwt.Expected{Time: time.Now()}, maxSkew); err != nil {
		return invalid(err.Error())
	}
	claimed, _ := all["nonce"].(string)
	if subtle.ConstantTimeCompare([]byte(claimed), []byte(nonce)) != 1 {
		return tokenClaims{}, &ProtocolError{"nonce_mismatch", "the ID token was not issued for this sign-in"}
	}
	if azp, present := all["azp"]; present && azp != o.config.ClientID || !present && len(standard.Audience) > 1 {
		client, _ := azp.(string)
		return invalid(fmt.Sprintf("azp is %s, expected AUTH_OIDC_CLIENT_ID %q; aud is [%s]", quoted([]string{client}), o.config.ClientID, quoted(standard.Audience)))
	}
	if hash, present := all["at_hash"]; present && hash != accessTokenHash(t) {
		return invalid("at_hash does not belong to the access token")
	}
	return s.claims, nil
}

// accessTokenHash is the at_hash of the tokens: the left half of a hash (OpenID
// Connect Core 1.0, 3.1.3.6). The signature's name in the ID token says which hash.
func accessTokenHash(t tokens) string {
	signed, err := jose.ParseSignedCompact(t.id, algorithms())
	if err != nil {
		return ""
	}
	hasher := sha256.New()
	switch name := signed.Signatures[0].Header.Algorithm; {
	case strings.HasSuffix(name, "384"):
		hasher = sha512.New384()
	case strings.HasSuffix(name, "512"), name == string(jose.EdDSA), name == string(ed25519Algorithm):
		hasher = sha512.New()
	}
	hasher.Write([]byte(t.access))
	sum := hasher.Sum(nil)
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}

// idTokenError combines our signature error with the error of go-oidc. The latter
// may quote the token.
func (o *OIDC) idTokenError(s signatureCheck, err error) error {
	if reason, ok := errors.AsType[invalidTokenError](s.err); ok {
		return &ProtocolError{"id_token_invalid", string(reason)}
	}
	if s.err != nil {
		return s.err
	}
	if reason := o.wrongParty(s.claims.standard); err != nil && reason != "" {
		return &ProtocolError{"id_token_invalid", reason}
	}
	if err != nil {
		return &ProtocolError{"id_token_invalid", truncate(err.Error())}
	}
	return nil
}

// wrongParty returns a reason if an ID token has another issuer or audience.
func (o *OIDC) wrongParty(c jwt.Claims) string {
	var reasons []string
	if c.Issuer != o.config.Issuer {
		reasons = append(reasons, fmt.Sprintf("iss is %s, expected AUTH_OIDC_ISSUER %q", quoted([]string{c.Issuer}), o.config.Issuer))
	}
	if !c.Audience.Contains(o.config.ClientID) {
		reasons = append(reasons, fmt.Sprintf("aud is [%s], expected AUTH_OIDC_CLIENT_ID %q", quoted(c.Audience), o.config.ClientID))
	}
	return strings.Join(reasons, "; ")
}

// truncate bounds a text for the log.
func truncate(text string) string {
	const most = 300
	if len(text) <= most {
		return text
	}
	for most := most; ; most-- {
		if utf8.RuneStart(text[most]) {
			return text[:most] + "…"
		}
	}
}
