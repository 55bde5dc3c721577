//go:build faults

package faults_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// crowd is an application, an identity provider and Dwolla for any number of users. It
// answers every caller at once.
type crowd struct {
	*httptest.Server

	key ed25519.PrivateKey
}

func newCrowd(t *testing.T) *crowd {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &crowd{key: key}
	routes := http.NewServeMux()
	c.addProvider(routes)
	c.addApplication(routes)
	c.addDwolla(routes)
	c.Server = httptest.NewServer(routes)
	t.Cleanup(c.Close)
	return c
}

// settings returns the settings of a server in front of the crowd.
func (c *crowd) settings(t *testing.T, changes map[string]string) map[string]string {
	t.Helper()
	settings := map[string]string{
		"DWOLLA_ENVIRONMENT": "sandbox", "DWOLLA_BASE_URL": c.URL, "DWOLLA_CLIENT_ID": "the-key", "DWOLLA_CLIENT_SECRET": newSecrets().newValue("x"),
		"ALLOWED_ACTIONS": "customer.create,customer.read,beneficialowner.documents.create",
		"HTTP_ADDR":       "127.0.0.1:0", "ADMIN_ADDR": "127.0.0.1:0", "TRUSTED_PROXIES": "127.0.0.1",
		"CUSTOMER_SOURCE": "lookup", "CUSTOMER_LOOKUP_URL": c.URL + "/users/{user}", "CUSTOMER_CACHE": "5m",
		"SHUTDOWN_DELAY": "0s", "SHUTDOWN_TIMEOUT": "10s",
		"AUDIT_LOG": t.TempDir() + "/audit.log", // with access lines, as in production
	}
	maps.Copy(settings, changes)
	return settings
}

// sign makes a token with an Ed25519 signature, which is fast to verify.
func (c *crowd) sign(header, claims map[string]any) string {
	encode := func(v any) string {
		text, _ := json.Marshal(v) // maps of texts and numbers always encode
		return base64.RawURLEncoding.EncodeToString(text)
	}
	header["alg"] = "EdDSA"
	signed := encode(header) + "." + encode(claims)
	return signed + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(c.key, []byte(signed)))
}

// largeClaims returns claims at the service's size limit, and some it drops.
func largeClaims(sub string, more map[string]any) map[string]any {
	all := map[string]any{"sub": sub, "name": strings.Repeat("n", 1000), "email": strings.Repeat("e", 1000), "groups": strings.Repeat("g", 1000)}
	maps.Copy(all, more)
	return all
}

func answerJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// addProvider adds the provider's endpoints. A code is the nonce and the user.
func (c *crowd) addProvider(routes *http.ServeMux) {
	routes.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, map[string]any{
			"issuer": c.URL, "jwks_uri": c.URL + "/keys", "authorization_endpoint": c.URL + "/auth", "token_endpoint": c.URL + "/code",
		})
	})
	routes.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		public, _ := c.key.Public().(ed25519.PublicKey)
		answerJSON(w, map[string]any{"keys": []any{map[string]any{
			"kty": "OKP", "crv": "Ed25519", "kid": "1", "use": "sig", "alg": "EdDSA", "x": base64.RawURLEncoding.EncodeToString(public),
		}}})
	})
	routes.HandleFunc("POST /code", func(w http.ResponseWriter, r *http.Request) {
		nonce, user, _ := strings.Cut(r.FormValue("code"), ".")
		now := time.Now()
		answerJSON(w, map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": c.sign(map[string]any{"kid": "1"}, map[string]any{
			"iss": c.URL, "aud": "dropgate-web", "nonce": nonce, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
			"sub": user, "sid": user + strings.Repeat("s", 2600), // makes the ID token as large as the service allows
		})})
	})
}

// customerOf returns the Customer of a user who has one.
func customerOf(user string) string {
	digits := user[strings.LastIndex(user, "-")+1:]
	n, _ := strconv.Atoi(digits) // n is 0 for other users
	return customerID(n)
}

// addApplication adds the application's endpoints, for sign-ins and Customers. Users
// named "new…" have no Customer.
func (c *crowd) addApplication(routes *http.ServeMux) {
	filling := strings.Repeat("x", 12_000)
	routes.HandleFunc("GET /me", func(w http.ResponseWriter, r *http.Request) {
		cookie, err := r.Cookie("user")
		if err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		answerJSON(w, largeClaims(cookie.Value, map[string]any{"filling": filling}))
	})
	routes.HandleFunc("GET /users/{user}", func(w http.ResponseWriter, r *http.Request) {
		if user := r.PathValue("user"); strings.HasPrefix(user, "new") {
			answerJSON(w, map[string]any{"customer": nil})
		} else {
			answerJSON(w, map[string]any{"customer": customerOf(user)})
		}
	})
}

// ownersEach is the number of beneficial owners of each Customer.
const ownersEach = 8

func ownerID(customer string, i int) string { return fmt.Sprintf("%08d%s", i, customer[8:]) }

// addDwolla adds Dwolla's endpoints.
func (c *crowd) addDwolla(routes *http.ServeMux) {
	routes.HandleFunc("POST /token", func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, map[string]any{"access_token": "an-access-token", "token_type": "bearer", "expires_in": 3600})
	})
	routes.HandleFunc("POST /client-tokens", func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, map[string]any{"token": strings.Repeat("t", 200)})
	})
	routes.HandleFunc("GET /customers/{id}", func(w http.ResponseWriter, r *http.Request) {
		answerJSON(w, map[string]any{"id": r.PathValue("id"), "status": "verified"})
	})
	routes.HandleFunc("GET /customers/{id}/beneficial-owners", func(w http.ResponseWriter, r *http.Request) {
		var owners []map[string]any
		for i := range ownersEach {
			owners = append(owners, map[string]any{"id": ownerID(r.PathValue("id"), i)})
		}
		answerJSON(w, map[string]any{
			"_links":    map[string]any{"self": map[string]any{"href": c.URL + r.URL.Path}},
			"_embedded": map[string]any{"beneficial-owners": owners},
		})
	})
}

// longName returns a user id of 255 two-byte characters, ending in n.
func longName(prefix string, n int) string {
	number := "-" + strconv.Itoa(n)
	return prefix + strings.Repeat("é", 255-len(prefix)-len(number)) + number
}

// bearerOf returns an access token for a user.
func (c *crowd) bearerOf(user string, life time.Duration) string {
	now := time.Now()
	return c.sign(map[string]any{"kid": "1"}, largeClaims(user, map[string]any{
		"iss": c.URL, "aud": "dropgate", "iat": now.Unix(), "exp": now.Add(life).Unix(),
	}))
}

// logoutOf returns a logout token, signed by the key with this kid.
func (c *crowd) logoutOf(user, kid string, n int) string {
	return c.sign(map[string]any{"kid": kid, "typ": "logout+jwt"}, map[string]any{
		"iss": c.URL, "aud": "dropgate-web", "sub": user, "iat": time.Now().Unix(), "jti": fmt.Sprint(kid, "-", n), "sid": fmt.Sprint("s", n),
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": struct{}{}},
	})
}

// signIn makes the three requests of a sign-in, and returns the last status.
func (c *crowd) signIn(client *rawClient, user, from string) (int, error) {
	begin, err := client.do("GET /auth/login HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: " + from + "\r\n\r\n")
	if err != nil {
		return 0, err
	}
	at, err := url.Parse(begin.header.Get("Location"))
	if err != nil || len(begin.header["Set-Cookie"]) == 0 {
		return begin.status, err
	}
	query := url.Values{"state": {at.Query().Get("state")}, "code": {at.Query().Get("nonce") + "." + user}}
	callback := func(cookies []string) (rawAnswer, error) {
		cookie, _, _ := strings.Cut(cookies[0], ";")
		return client.do(fmt.Sprintf("GET /auth/callback?%s HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: %s\r\nCookie: %s\r\n\r\n", query.Encode(), from, cookie))
	}
	end, err := callback(begin.header["Set-Cookie"])
	if cookies := end.header["Set-Cookie"]; err == nil && end.status == http.StatusOK && len(cookies) > 0 { // the page loads the URL again
		end, err = callback(cookies)
	}
	return end.status, err
}
