package provider

import (
	"context"
	"errors"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// unsupported implements the methods of op.Storage for features without a route
// here: refresh tokens, introspection and clients with keys.
type unsupported struct{}

// CreateAccessAndRefreshTokens refuses refresh tokens.
func (unsupported) CreateAccessAndRefreshTokens(context.Context, op.TokenRequest, string) (string, string, time.Time, error) { //nolint:revive // op's signature
	return "", "", time.Time{}, errors.ErrUnsupported
}

// TokenRequestByRefreshToken refuses refresh tokens.
func (unsupported) TokenRequestByRefreshToken(context.Context, string) (op.RefreshTokenRequest, error) {
	return nil, op.ErrInvalidRefreshToken
}

// GetRefreshTokenInfo refuses refresh tokens.
func (unsupported) GetRefreshTokenInfo(context.Context, string, string) (string, string, error) { //nolint:revive // op's signature
	return "", "", op.ErrInvalidRefreshToken
}

// TerminateSession refuses: the provider serves /end_session itself.
func (unsupported) TerminateSession(context.Context, string, string) error {
	return errors.ErrUnsupported
}

// RevokeToken refuses.
func (unsupported) RevokeToken(context.Context, string, string, string) *oidc.Error {
	return oidc.ErrInvalidRequest()
}

// SetUserinfoFromScopes does nothing: SetUserinfoFromRequest replaces it.
func (unsupported) SetUserinfoFromScopes(context.Context, *oidc.UserInfo, string, string, []string) error {
	return nil
}

// SetIntrospectionFromToken refuses.
func (unsupported) SetIntrospectionFromToken(context.Context, *oidc.IntrospectionResponse, string, string, string) error {
	return errors.ErrUnsupported
}

// GetPrivateClaimsFromScopes refuses: access tokens are opaque.
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
