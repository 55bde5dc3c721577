package emulator

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// accessToken is the answer of POST /token.
type accessToken struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in"`
}

// oauthError is the error body of POST /token, in OAuth's format.
type oauthError struct {
	Error string `json:"error"`
}

// token serves POST /token: the client credentials grant, with credentials only in
// the Authorization header.
func (e *Emulator) token(c call) answer {
	if !e.isApplication(c.request) {
		a := refuseOAuth(http.StatusUnauthorized, "invalid_client")
		a.header["WWW-Authenticate"] = `Basic realm="dwolla"`
		return a
	}
	form, err := url.ParseQuery(string(c.body))
	if err != nil ||
		mediaType(c.request.Header.Get("Content-Type")) != "application/x-www-form-urlencoded" ||
		len(form["grant_type"]) != 1 {
		return refuseOAuth(http.StatusBadRequest, "invalid_request")
	}
	if form.Get("grant_type") != "client_credentials" {
		return refuseOAuth(http.StatusBadRequest, "unsupported_grant_type")
	}

	life := e.options.AccessTokenLife
	body := accessToken{
		AccessToken: newSecret(),
		TokenType:   "Bearer",
		ExpiresIn:   max(int64(life/time.Second)-1, 1),
	}
	now := e.options.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.accessTokens.put(body.AccessToken, now.Add(life))
	return answer{
		status: http.StatusOK,
		header: map[string]string{"Cache-Control": "no-store"},
		media:  plainJSON,
		body:   body,
	}
}

func refuseOAuth(status int, code string) answer {
	return answer{
		status: status,
		header: map[string]string{"Cache-Control": "no-store"},
		media:  plainJSON,
		body:   oauthError{Error: code},
	}
}

// isApplication checks the credentials of HTTP Basic. Both are form-encoded
// inside it (RFC 6749, section 2.3.1).
func (e *Emulator) isApplication(r *http.Request) bool {
	rawID, rawSecret, ok := r.BasicAuth()
	id, idErr := url.QueryUnescape(rawID)
	secret, secretErr := url.QueryUnescape(rawSecret)
	if !ok || idErr != nil || secretErr != nil || id == "" || secret == "" {
		return false
	}
	// Not &&: a wrong id must not answer sooner than a wrong secret.
	return same(id, e.options.ClientID)&same(secret, e.options.ClientSecret) == 1
}

// same compares in constant time, whatever the lengths.
func same(a, b string) int {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:])
}

// ExpireAccessTokens expires every access token. The API then answers 401
// ExpiredAccessToken. Client tokens stay valid.
func (e *Emulator) ExpireAccessTokens() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for token := range e.accessTokens.values {
		e.accessTokens.put(token, time.Time{})
	}
}

// RevokeAccessTokens revokes every access token. The API then answers 401
// InvalidAccessToken. Client tokens stay valid.
func (e *Emulator) RevokeAccessTokens() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.accessTokens.clear()
}

// admit checks the headers and the bearer token of an API call, then serves it.
func (e *Emulator) admit(endpoint endpoint, c call) answer {
	if !acceptsDwolla(c.request) {
		return refuse(http.StatusNotAcceptable, "The Accept header must be "+halJSON+".")
	}
	if refusal, ok := endpoint.reads(c); !ok {
		return refusal
	}
	if refusal, ok := e.authorize(endpoint, c); !ok {
		return refusal
	}
	return endpoint.serve(c)
}

// reads reports whether the endpoint reads the media type of a POST.
func (p endpoint) reads(c call) (answer, bool) {
	media := mediaType(c.request.Header.Get("Content-Type"))
	switch {
	case c.request.Method != http.MethodPost:
	case p.form && media != "multipart/form-data":
		return refuse(http.StatusUnsupportedMediaType, "The Content-Type must be multipart/form-data."), false
	case p.form, media == plainJSON, media == halJSON:
	case p.op == OpMicroDeposits && len(c.body) == 0 && media == "": // to start them takes no body
	default:
		return refuse(http.StatusUnsupportedMediaType, "The Content-Type must be "+halJSON+" or "+plainJSON+"."), false
	}
	return answer{}, true
}

// authorize checks the bearer token. An access token may call everything, a client
// token one endpoint. It consumes the client token after all checks, so a refused
// call does not.
func (e *Emulator) authorize(endpoint endpoint, c call) (answer, bool) {
	bearer := bearerToken(c.request)
	now := e.options.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	if expires, ok := e.accessTokens.get(bearer); ok {
		if !now.Before(expires) {
			return expiredToken(), false
		}
		return answer{}, true
	}
	token, ok := e.clientTokens.get(bearer)
	switch {
	case !ok || token.Used:
		return refuse(http.StatusUnauthorized, "Invalid access token."), false
	case now.Sub(token.Created) >= clientTokenLife:
		return expiredToken(), false
	case !token.allows(endpoint, c):
		return refuse(http.StatusForbidden, "The client token is not for this."), false
	}
	token.Used = true
	return answer{}, true
}

func expiredToken() answer {
	return refuseAs(http.StatusUnauthorized, "ExpiredAccessToken", "Expired access token.")
}

func bearerToken(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return token
}

func acceptsDwolla(r *http.Request) bool {
	for _, line := range r.Header.Values("Accept") {
		for part := range strings.SplitSeq(line, ",") {
			if mediaType(part) == halJSON {
				return true
			}
		}
	}
	return false
}

// newSecret returns a token as long as Dwolla's: 50 letters and digits.
func newSecret() string {
	return (rand.Text() + rand.Text())[:50]
}
