package provider

import (
	"net/http"
	"net/url"
)

// withIssuer adds iss to authorization responses, also to errors. A client of two
// providers can then check which one answered (RFC 9207).
func (p *Provider) withIssuer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(issuerWriter{ResponseWriter: w, issuer: p.options.Issuer}, r)
	})
}

type issuerWriter struct {
	http.ResponseWriter

	issuer string
}

// WriteHeader adds iss to the Location of a redirect.
func (w issuerWriter) WriteHeader(status int) {
	if location := w.Header().Get("Location"); location != "" {
		w.Header().Set("Location", addIssuer(location, w.issuer))
	}
	w.ResponseWriter.WriteHeader(status)
}

// addIssuer changes only authorization responses: they alone have a code or an
// error. op puts the error into the fragment for an unsupported response type.
func addIssuer(location, issuer string) string {
	target, err := url.Parse(location)
	if err != nil {
		return location
	}
	if query := target.Query(); query.Has("code") || query.Has("error") {
		query.Set("iss", issuer)
		target.RawQuery = query.Encode()
	} else if fragment, err := url.ParseQuery(target.EscapedFragment()); err == nil && fragment.Has("error") {
		fragment.Set("iss", issuer)
		target.RawFragment = fragment.Encode()
		target.Fragment, _ = url.PathUnescape(target.RawFragment)
	}
	return target.String()
}
