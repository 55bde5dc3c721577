package auth

import (
	"net/http"
	"slices"
	"strings"
)

type credential struct {
	token    string
	byCookie bool // the browser, or a proxy for it, has sent the token by itself
}

// credentials appends the tokens of the request to found: first the one in the
// header, then those in the cookie, without duplicates. Without the header, several cookie values are refused as ambiguous.
func (b *Bearer) credentials(r *http.Request, found []credential) ([]credential, error) {
	found, err := b.inHeader(r.Header[b.config.Header], found)
	if err != nil {
		return nil, err
	}
	if b.config.Cookie != "" {
		cookies := cookieValues(r, b.config.Cookie)
		if len(found) == 0 && len(cookies) > 1 || len(cookies) > maxTokenCookies {
			return nil, b.reject(Ambiguous, "several cookies named "+b.config.Cookie)
		}
		for _, value := range cookies {
			if len(found) == 0 || value != found[0].token {
				found = append(found, credential{token: value, byCookie: true})
			}
		}
	}
	if len(found) == 0 {
		return nil, errNoCredential
	}
	return found, nil
}

// inHeader appends the token in the header to found.
func (b *Bearer) inHeader(headers []string, found []credential) ([]credential, error) {
	if len(headers) == 0 {
		return found, nil
	}
	if len(headers) > 1 {
		return nil, b.reject(Ambiguous, "several "+b.config.Header+" headers")
	}
	scheme, token := cutScheme(headers[0])
	if b.config.Header != authorization {
		if !strings.EqualFold(scheme, "Bearer") {
			token = strings.Trim(headers[0], " \t") // the token alone
		}
		return append(found, credential{token: token, byCookie: true}), nil
	}
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		return append(found, credential{token: token}), nil
	case strings.EqualFold(scheme, "DPoP"):
		return nil, b.reject(Unsupported, "a DPoP token; its proof cannot be verified")
	}
	return found, nil
}

// bearerReads reports whether the mode bearer reads an Authorization header.
func bearerReads(header string) bool {
	scheme, _ := cutScheme(header)
	return strings.EqualFold(scheme, "Bearer") || strings.EqualFold(scheme, "DPoP")
}

// maxTokenCookies bounds the tokens to verify in the cookies of one request.
const maxTokenCookies = 2

// cutScheme splits an Authorization header at its first space or tab.
func cutScheme(header string) (scheme, rest string) {
	at := strings.IndexAny(header, " \t")
	if at < 0 {
		return header, ""
	}
	return header[:at], strings.Trim(header[at:], " \t")
}

// cookieValues returns the distinct values of the request's cookies of one name.
func cookieValues(r *http.Request, name string) []string {
	var values []string
	for _, cookie := range r.CookiesNamed(name) {
		if !slices.Contains(values, cookie.Value) {
			values = append(values, cookie.Value)
		}
	}
	return values
}
