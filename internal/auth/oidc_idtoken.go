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

// signature lets go-oidc verify one token with our keys, and keeps what it
// forgets: the claims as they are spelled, and an error that can be told from
// others.
type signature struct {
	keys   *KeySet
	from   source
	types  []string
	claims claims
	err    error
}

// VerifySignature implements oidc.KeySet.
func (s *signature) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	v, err := s.keys.verify(ctx, token, s.from, s.types...)
	if errors.Is(err, errKeysNotFresh) {
		// It may be good, and who has sent it may have no other.
		err = s.keys.outage(s.from, err.Error())
	}
	s.claims, s.err = v.claims, err
	if err != nil {
		return nil, err
	}
	return exactly(v.claims.payload)
}

// exactly returns the claims that go-oidc looks at, in the one spelling that they
// have: it would take "ISS" for iss too, and the last one of them.
func exactly(payload json.RawMessage) ([]byte, error) {
	var given map[string]json.RawMessage
	if err := json.Unmarshal(payload, &given); err != nil {
		return nil, invalid("claims that are no JSON object")
	}
	kept := map[string]json.RawMessage{}
	for _, name := range []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid", "nonce", "events"} {
		if value, ok := given[name]; ok {
			kept[name] = value
		}
	}
	return json.Marshal(kept) //nolint:wrapcheck // what was read can be written
}

// verifier checks tokens for this client, with s.
func (o *OIDC) verifier(s *signature) *oidc.IDTokenVerifier {
	accepted := make([]string, 0, len(algorithms()))
	for _, algorithm := range algorithms() {
		accepted = append(accepted, string(algorithm))
	}
	return oidc.NewVerifier(o.config.Issuer, s, &oidc.Config{ClientID: o.config.ClientID, SupportedSigningAlgs: accepted})
}

// maxHint bounds the ID token that is kept to name the session at the
// provider, in bytes: it travels in an address.
const maxHint = 4 << 10

// identified returns a session for the user whom an ID token names (OpenID
// Connect Core 1.0, 3.1.3.7).
func (o *OIDC) identified(ctx context.Context, raw, nonce string) (session.Session, error) {
	if raw == "" {
		return session.Session{}, &ProtocolError{"id_token_missing", "the token endpoint's answer holds no ID token"}
	}
	s := signature{keys: o.config.Keys, from: fromProvider, types: []string{"jwt", ""}}
	_, err := o.verifier(&s).Verify(ctx, raw)
	if err := o.tokenError("id_token_invalid", s.err, err); err != nil {
		return session.Session{}, err
	}
	all := s.claims.all
	given, _ := all["nonce"].(string)
	if subtle.ConstantTimeCompare([]byte(given), []byte(nonce)) != 1 {
		return session.Session{}, &ProtocolError{"nonce_mismatch", "the ID token was not issued for this sign-in"}
	}
	if azp, present := all["azp"]; present && azp != o.config.ClientID || !present && len(s.claims.standard.Audience) > 1 {
		return session.Session{}, &ProtocolError{"id_token_invalid", "azp does not name this client"}
	}
	user, err := userOf(all, o.config.UserClaim)
	if err != nil {
		return session.Session{}, &ProtocolError{"user_unknown", err.Error()}
	}
	subject, sid := s.claims.standard.Subject, claimedSID(all)
	if !clienttoken.ValidUserID(subject) {
		return session.Session{}, &ProtocolError{"id_token_invalid", "sub is not 1 to 255 printable characters"}
	}
	hint := clienttoken.Secret{}
	if len(raw) <= maxHint {
		hint = clienttoken.NewSecret(raw)
	}
	return session.Session{
		User:    clienttoken.User{ID: user, Claims: o.kept.of(all)},
		Subject: subject,
		SID:     sid,
		IDToken: hint,
	}, nil
}

// tokenError is what is wrong with a token: signed is what we say of its
// signature, err what go-oidc says of all of it, which may quote the token.
func (o *OIDC) tokenError(code string, signed, err error) error {
	if reason, ok := errors.AsType[invalid](signed); ok {
		return &ProtocolError{code, string(reason)}
	}
	if signed != nil {
		return signed
	}
	if err != nil {
		return &ProtocolError{code, cut(err.Error())}
	}
	return nil
}

// claimedSID is the session at the provider, if it tells.
func claimedSID(claims map[string]any) string {
	sid, _ := claims["sid"].(string)
	return sid
}

// cut bounds a text for the log.
func cut(text string) string {
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
