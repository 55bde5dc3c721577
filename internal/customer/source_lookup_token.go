package customer

import (
	"context"
	"net/http"

	"dropgate/internal/clienttoken"
	"dropgate/internal/httpbody"
	"dropgate/internal/tracing"
)

// Rotate replaces the token. There may be several, one per line.
func (l *Lookup) Rotate(tokens clienttoken.Secret) { l.token.Set(tokens) }

// send sends the request with the first token that the application accepts, or
// returns the last refusal. The caller closes the body. The error is a
// *clienttoken.Failure.
func (l *Lookup) send(ctx context.Context, address string) (*http.Response, error) {
	tokens := l.token.Candidates()
	if len(tokens) == 0 {
		return l.sendWith(ctx, address, clienttoken.Secret{})
	}
	for _, token := range tokens[:len(tokens)-1] {
		resp, err := l.sendWith(ctx, address, token)
		if err != nil || !tokenRefused(resp.StatusCode) {
			return l.noted(resp, token), err
		}
		_ = resp.Body.Close()
		if l.token.Refused() && l.refused != nil {
			l.refused()
		}
	}
	last := tokens[len(tokens)-1]
	resp, err := l.sendWith(ctx, address, last)
	return l.noted(resp, last), err
}

// noted notes the token of a request that the application did not refuse.
func (l *Lookup) noted(resp *http.Response, token clienttoken.Secret) *http.Response {
	if resp != nil && (resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusNotFound) {
		l.token.Accepted(token)
	}
	return resp
}

func tokenRefused(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusForbidden
}

func (l *Lookup) sendWith(ctx context.Context, address string, token clienttoken.Secret) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, lookupFault(httpbody.ErrNotHTTP, "")
	}
	req.Header.Set("Accept", "application/json")
	if !token.IsZero() {
		req.Header.Set("Authorization", "Bearer "+token.Reveal())
	}
	tracing.Propagate(ctx, req.Header)
	resp, err := l.transport.RoundTrip(req)
	if err != nil {
		return nil, connectionFault(err)
	}
	return resp, nil
}
