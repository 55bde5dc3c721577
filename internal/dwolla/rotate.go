package dwolla

import (
	"context"
	"errors"
	"net/http"
	"time"

	"dropgate/internal/clienttoken"
)

// errSecretRefused says that Dwolla does not know a secret (yet).
var errSecretRefused = errors.New("at Dwolla, the application's new secret does not work")

// Rotate replaces the application's secret. There may be several, one per line. It
// fetches an access token with them. An error means that none of them works yet; the
// token and the secret before stay in use.
func (c *Client) Rotate(ctx context.Context, secrets clienttoken.Secret) error {
	c.tokens.rotate(secrets)
	select {
	case result := <-c.tokens.flight.DoChan("", c.tokens.renewed):
		if result.Err != nil {
			return result.Err
		}
	case <-ctx.Done():
		return ctx.Err() //nolint:wrapcheck // the caller's own
	}
	return c.tokens.confirmed()
}

// rotate makes the next fetch use the new secrets, without a wait.
func (s *accessTokens) rotate(secrets clienttoken.Secret) {
	s.secrets.Set(secrets)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rotations++
	if s.failure == nil || s.failure.Code != clienttoken.Unavailable { // Dwolla's own pause holds
		s.retryAt = time.Time{}
	}
}

// confirmed reports why the new secrets are not in use.
func (s *accessTokens) confirmed() error {
	s.mu.Lock()
	waits := s.rotations != s.fetchedIn
	s.mu.Unlock()
	switch {
	case !s.secrets.Confirmed():
		return errSecretRefused
	case waits:
		return errors.New("at Dwolla, no access token is to be had now")
	}
	return nil
}

// tryEach fetches a token with the first secret that Dwolla accepts.
func (s *accessTokens) tryEach(fetch func(clienttoken.Secret) (*accessToken, *Error)) (token *accessToken, fault *Error) {
	candidates := s.secrets.Candidates()
	for i, secret := range candidates {
		if token, fault = fetch(secret); fault == nil {
			s.secrets.Accepted(secret)
			return token, nil
		}
		if fault.Status != http.StatusUnauthorized && fault.Code != "invalid_client" {
			return nil, fault
		}
		if i+1 < len(candidates) && s.secrets.Refused() {
			s.log.Error().Int("status", fault.Status).Str("dwolla_code", fault.Code).
				Msg("Dwolla refuses a value of DWOLLA_CLIENT_SECRET; another one is tried")
		}
	}
	return nil, fault
}
