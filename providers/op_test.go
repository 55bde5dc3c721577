package providers_test

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	opSecret = "7kQ-the-secret-of-this-client-2fZ"
	opAccess = "an-access-token"
)

// op is an OpenID provider of the internet double. It checks each request as strictly as
// the standards allow, and its fields shape the answers.
type op struct {
	document object // of discovery
	client   string // the id of the service
	secret   string // of the service
	keys     any    // the JSON Web Key Set
	userinfo object // the claims besides sub
	claims   object // of the ID token, besides iss, aud, nonce, iat and exp; nil removes one
	sign     func(claims object) string

	mu     sync.Mutex
	grants map[string]url.Values // parameters of a sign-in, by code or by request_uri
	faults []string              // of requests
}

// hashed is the at_hash that belongs to the access token.
const hashed = "at_hash of " + opAccess

// newOP returns a provider with one key for the algorithm.
func newOP(document object, algorithm string) *op {
	var key any = keyOf(algorithm)
	published := keys(algorithm)
	if algorithm == "HS256" {
		key, published = []byte(opSecret), keys("RS256")
	}
	return &op{
		document: document, secret: opSecret, keys: published, grants: map[string]url.Values{},
		sign: func(claims object) string {
			if claims["at_hash"] == hashed {
				claims["at_hash"] = atHash(algorithm)
			}
			return signed{algorithm: algorithm, key: key, kid: keyID}.text(claims)
		},
	}
}

// serve puts the provider into the internet. at is the address of its discovery document.
func (o *op) serve(world *internet, at string) {
	world.serve(at, o.page(func() object { return o.document }))
	pages := map[string]http.HandlerFunc{
		"jwks_uri":               o.page(func() object { return must(toObject(o.keys)) }),
		"authorization_endpoint": o.authorize, "token_endpoint": o.token, "userinfo_endpoint": o.info,
		"pushed_authorization_request_endpoint": o.push,
	}
	for member, page := range pages {
		if address, ok := o.document[member].(string); ok {
			world.serve(address, page)
		}
	}
}

// change shapes the provider while it runs.
func (o *op) change(edit func(o *op)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	edit(o)
}

// page answers with a document that may change.
func (o *op) page(document func() object) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		o.mu.Lock()
		defer o.mu.Unlock()
		answer(w, http.StatusOK, document())
	}
}

func answer(w http.ResponseWriter, status int, body object) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(must(json.Marshal(body)))
}

// refuse answers with an error, and notes why.
func (o *op) refuse(w http.ResponseWriter, status int, code, why string) {
	o.faults = append(o.faults, why)
	answer(w, status, object{"error": code, "error_description": why})
}

// wrong returns what is wrong with the parameters of a sign-in.
func (o *op) wrong(p url.Values) string {
	switch {
	case p.Get("client_id") != o.client:
		return "another client"
	case p.Get("redirect_uri") != appOrigin+"/auth/callback":
		return "another redirect_uri: " + p.Get("redirect_uri")
	case p.Get("response_type") != "code" || !slices.Contains(strings.Fields(p.Get("scope")), "openid"):
		return "no code, or no openid"
	case p.Get("code_challenge_method") != "S256" || p.Get("code_challenge") == "" || p.Get("state") == "" || p.Get("nonce") == "":
		return "no PKCE, state or nonce"
	}
	return ""
}

// authorize signs the browser's user in, without a question.
func (o *op) authorize(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	parameters := r.URL.Query()
	if pushed, ok := o.grants[parameters.Get("request_uri")]; ok {
		parameters = pushed
	} else if o.document["pushed_authorization_request_endpoint"] != nil {
		o.refuse(w, http.StatusBadRequest, "invalid_request", "the parameters were not pushed")
		return
	}
	if why := o.wrong(parameters); why != "" {
		o.refuse(w, http.StatusBadRequest, "invalid_request", why)
		return
	}
	code := fmt.Sprintf("code-%d", len(o.grants))
	o.grants[code] = parameters
	back := url.Values{"code": {code}, "state": {parameters.Get("state")}, "session_state": {"s"}}
	if o.document["authorization_response_iss_parameter_supported"] == true {
		back.Set("iss", fmt.Sprint(o.document["issuer"]))
	}
	http.Redirect(w, r, parameters.Get("redirect_uri")+"?"+back.Encode(), http.StatusFound)
}

// push takes the parameters of a sign-in (RFC 9126).
func (o *op) push(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if why := o.impostor(r); why != "" {
		o.refuse(w, http.StatusUnauthorized, "invalid_client", why)
		return
	}
	uri := fmt.Sprintf("urn:ietf:params:oauth:request_uri:%d", len(o.grants))
	o.grants[uri] = r.PostForm
	answer(w, http.StatusCreated, object{"request_uri": uri, "expires_in": 60})
}

// impostor returns why a request does not come from the client, by a method that the
// discovery document announces.
func (o *op) impostor(r *http.Request) string {
	_ = r.ParseForm()
	id, secret, basic := r.BasicAuth()
	form := r.PostForm
	method, proven := "none", o.secret == ""
	switch {
	case basic:
		method, proven = "client_secret_basic", must(url.QueryUnescape(secret)) == o.secret
		form = url.Values{"client_id": {must(url.QueryUnescape(id))}}
	case form.Has("client_secret"):
		method, proven = "client_secret_post", form.Get("client_secret") == o.secret
	case form.Has("client_assertion"):
		method, proven = "private_key_jwt", o.provenByKey(form)
	}
	announced, ok := o.document["token_endpoint_auth_methods_supported"].([]string)
	if !ok {
		announced = []string{"client_secret_basic"}
	}
	if !slices.Contains(announced, method) || !proven || form.Get("client_id") != o.client {
		return fmt.Sprintf("method %s of %v, client %q", method, announced, form.Get("client_id"))
	}
	return ""
}

// provenByKey checks an assertion of private_key_jwt. Entra finds the key by its
// certificate.
func (o *op) provenByKey(form url.Values) bool {
	assertion, err := jwt.ParseSigned(form.Get("client_assertion"), []jose.SignatureAlgorithm{jose.ES256})
	var claims jwt.Claims
	if err != nil || assertion.Claims(clientKey().Public(), &claims) != nil {
		return false
	}
	expected := jwt.Expected{Issuer: o.client, Subject: o.client, AnyAudience: jwt.Audience{fmt.Sprint(o.document["issuer"])}, Time: time.Now()}
	thumbprint := sha256.Sum256(clientCertificate())
	if assertion.Headers[0].ExtraHeaders["x5t#S256"] != base64.RawURLEncoding.EncodeToString(thumbprint[:]) {
		return false
	}
	return claims.Validate(expected) == nil && claims.ID != "" && claims.Expiry != nil &&
		form.Get("client_assertion_type") == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
}

func (o *op) token(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if why := o.impostor(r); why != "" {
		o.refuse(w, http.StatusUnauthorized, "invalid_client", why)
		return
	}
	code := r.PostForm.Get("code")
	grant, known := o.grants[code]
	delete(o.grants, code) // it works once
	challenge := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
	if !known || r.PostForm.Get("redirect_uri") != grant.Get("redirect_uri") || base64.RawURLEncoding.EncodeToString(challenge[:]) != grant.Get("code_challenge") {
		o.refuse(w, http.StatusBadRequest, "invalid_grant", "another code, redirect_uri or code_verifier")
		return
	}
	now := time.Now().Unix()
	claims := object{"iss": o.document["issuer"], "aud": o.client, "nonce": grant.Get("nonce"), "iat": now, "exp": now + 300}
	maps.Copy(claims, o.claims)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	answer(w, http.StatusOK, object{"access_token": opAccess, "token_type": "Bearer", "expires_in": 300, "id_token": o.sign(claims)})
}

func (o *op) info(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if r.Header.Get("Authorization") != "Bearer "+opAccess {
		o.refuse(w, http.StatusUnauthorized, "invalid_token", "another access token")
		return
	}
	claims := object{"sub": o.claims["sub"]}
	maps.Copy(claims, o.userinfo)
	answer(w, http.StatusOK, claims)
}

// explain logs what the provider found wrong, if the test fails.
func (o *op) explain(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the provider refused: %v", o.faults)
		}
	})
}

// atHash is the left half of the access token's hash.
func atHash(algorithm string) string {
	hash := sha256.New()
	switch {
	case strings.HasSuffix(algorithm, "384"):
		hash = sha512.New384()
	case algorithm == "EdDSA" || strings.HasSuffix(algorithm, "512"):
		hash = sha512.New()
	}
	_, _ = hash.Write([]byte(opAccess))
	sum := hash.Sum(nil)
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}
