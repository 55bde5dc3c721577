// Package httpbody reads the answers of other services safely: whole, within a
// limit, and without quoting them in errors. It sends nothing of its own, logs
// nothing, and knows none of the services.
package httpbody

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
)

// Buffer returns a transport that reads each body to its end, or up to limit
// bytes, before it returns the response. A connection lost in the middle is then
// an error of the transport. Libraries such as x/oauth2 would otherwise report it
// like a body they cannot parse.
func Buffer(next http.RoundTripper, limit int64) http.RoundTripper {
	return buffered{next: next, limit: limit}
}

type buffered struct {
	next  http.RoundTripper
	limit int64
}

// RoundTrip implements http.RoundTripper. It returns errors unwrapped, because
// *url.Error asks the error directly below it for Timeout.
func (b buffered) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err //nolint:wrapcheck // see above
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, b.limit))
	if err != nil {
		return nil, err //nolint:wrapcheck // see above
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// ErrNotHTTP replaces an error that might quote the response.
var ErrNotHTTP = errors.New("no answer, or an answer that is not HTTP")

// RedactError returns err if it describes the connection only. For anything else
// it returns ErrNotHTTP: net/http quotes a malformed response in its errors, and
// the response may hold a secret.
func RedactError(err error) error {
	var timeout net.Error
	var op *net.OpError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, context.Canceled),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.As(err, &timeout) && timeout.Timeout(),
		errors.As(err, &op), errors.As(err, &certificate):
		return err
	default:
		return ErrNotHTTP
	}
}
