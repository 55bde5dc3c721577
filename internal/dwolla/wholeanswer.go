package dwolla

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
)

// wholeAnswers reads a success to its end, up to maxBody, before it hands it on.
// What is cut in the middle is no answer then: x/oauth2 would make the same error
// of it as of one that is no JSON, and the first passes, the second does not.
// internal/auth has one of its own: no room below both of them does I/O.
type wholeAnswers struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (w wholeAnswers) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := w.next.RoundTrip(r)
	if err != nil || resp.StatusCode/100 != 2 {
		return resp, err //nolint:wrapcheck // as it came: the caller looks into it
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}
