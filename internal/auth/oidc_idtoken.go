package auth

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"unicode/utf8"

	"github.com/coreos/go-oidc/v3/oidc"

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

// verifier returns a go-oidc verifier for this client's ID tokens.
func (o *OIDC) verifier(s *signatureCheck) *oidc.IDTokenVerifier {
	accepted := make([]string, 0, len(algorithms()))
	for _, algorithm := range algorithms() {
		accepted = append(accepted, string(algorithm))
	}
	return oidc.NewVerifier(o.config.Issuer, s, &oidc.Config{ClientID: o.config.ClientID, SupportedSigningAlgs: accepted})
}

// maxHint bounds the ID token to keep for a sign-out at the provider, in bytes,
// since it travels in a URL.
const maxHint = 4 << 10

// identify returns a session for the user of an ID token (OpenID Connect Core 1.0,
// 3.1.3.7).
func (o *OIDC) identify(ctx context.Context, raw, nonce string) (session.Stored, error) {
	if raw == "" {
		return session.Stored{}, &ProtocolError{"id_token_missing", "the token endpoint's answer holds no ID token"}
	}
	s := signatureCheck{keys: o.config.Keys, from: fromProvider, types: []string{"jwt", ""}}
	_, err := o.verifier(&s).Verify(ctx, raw)
	if err := idTokenError(s.err, err); err != nil {
		return session.Stored{}, err
	}
	all := s.claims.all
	claimed, _ := all["nonce"].(string)
	if subtle.ConstantTimeCompare([]byte(claimed), []byte(nonce)) != 1 {
		return session.Stored{}, &ProtocolError{"nonce_mismatch", "the ID token was not issued for this sign-in"}
	}
	if azp, present := all["azp"]; present && azp != o.config.ClientID || !present && len(s.claims.standard.Audience) > 1 {
		return session.Stored{}, &ProtocolError{"id_token_invalid", "azp does not name this client"}
	}
	user, err := userIDFrom(all, o.user)
	if err != nil {
		return session.Stored{}, &ProtocolError{"user_unknown", err.Error()}
	}
	subject := s.claims.standard.Subject
	sid, _ := all["sid"].(string)
	if !clienttoken.ValidUserID(subject) {
		return session.Stored{}, &ProtocolError{"id_token_invalid", "sub is not 1 to 255 printable characters"}
	}
	hint := clienttoken.Secret{}
	if len(raw) <= maxHint {
		hint = clienttoken.NewSecret(raw)
	}
	return session.Stored{
		User:    clienttoken.User{ID: user, Claims: o.claims.apply(all)},
		Subject: subject,
		SID:     sid,
		IDToken: hint,
	}, nil
}

// idTokenError combines our signature error with the error of go-oidc. The latter
// may quote the token.
func idTokenError(signature, err error) error {
	if reason, ok := errors.AsType[invalidTokenError](signature); ok {
		return &ProtocolError{"id_token_invalid", string(reason)}
	}
	if signature != nil {
		return signature
	}
	if err != nil {
		return &ProtocolError{"id_token_invalid", truncate(err.Error())}
	}
	return nil
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
