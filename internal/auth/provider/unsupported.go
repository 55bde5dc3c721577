package provider

import (
	"context"
	"errors"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// unsupported refuses what op asks of every storage and this provider does not
// do: refresh tokens, introspection, clients that sign with keys. Hardly any of
// it is within reach, because the routes are not there.
type unsupported struct{}

// CreateAccessAndRefreshTokens refuses: there are no refresh tokens.
func (unsupported) CreateAccessAndRefreshTokens(context.Context, op.TokenRequest, string) (string, string, time.Time, error) { //nolint:revive // the shape is op's
	return "", "", time.Time{}, errors.ErrUnsupported
}

// TokenRequestByRefreshToken refuses: there are no refresh tokens.
func (unsupported) TokenRequestByRefreshToken(context.Context, string) (op.RefreshTokenRequest, error) {
	return nil, op.ErrInvalidRefreshToken
}

// GetRefreshTokenInfo refuses: there are no refresh tokens.
func (unsupported) GetRefreshTokenInfo(context.Context, string, string) (string, string, error) { //nolint:revive // the shape is op's
	return "", "", op.ErrInvalidRefreshToken
}

// TerminateSession refuses: /end_session is not op's.
func (unsupported) TerminateSession(context.Context, string, string) error {
	return errors.ErrUnsupported
}

// RevokeToken refuses.
func (unsupported) RevokeToken(context.Context, string, string, string) *oidc.Error {
	return oidc.ErrInvalidRequest()
}

// SetUserinfoFromScopes does nothing, as op asks: SetUserinfoFromRequest does.
func (unsupported) SetUserinfoFromScopes(context.Context, *oidc.UserInfo, string, string, []string) error {
	return nil
}

// SetIntrospectionFromToken refuses.
func (unsupported) SetIntrospectionFromToken(context.Context, *oidc.IntrospectionResponse, string, string, string) error {
	return errors.ErrUnsupported
}

// GetPrivateClaimsFromScopes has none: access tokens are opaque.
func (unsupported) GetPrivateClaimsFromScopes(context.Context, string, string, []string) (map[string]any, error) {
	return nil, errors.ErrUnsupported
}

// GetKeyByIDAndClientID refuses: clients have secrets, not keys.
func (unsupported) GetKeyByIDAndClientID(context.Context, string, string) (*jose.JSONWebKey, error) {
	return nil, errors.ErrUnsupported
}

// ValidateJWTProfileScopes refuses: clients have secrets, not keys.
func (unsupported) ValidateJWTProfileScopes(context.Context, string, []string) ([]string, error) {
	return nil, errors.ErrUnsupported
}
