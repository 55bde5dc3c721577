package auth_test

import (
	"crypto/sha256"
	"net/url"
	"strings"
	"testing"
	"time"

	"dropgate/internal/auth"
)

// badToken is an ID token from the token endpoint, with edited claims or made
// otherwise.
type badToken struct {
	name   string
	claims object
	header object
	code   string // empty: accepted
}

func TestIDTokenMustMatchClientAndSignIn(t *testing.T) {
	seconds := func(d time.Duration) int64 { return midnight.Add(d).Unix() }
	for _, c := range []badToken{
		{name: "good"},
		{name: "wrong aud", claims: object{"aud": "another"}, code: "id_token_invalid"},
		{name: "aud in another case", claims: object{"aud": strings.ToUpper(clientID)}, code: "id_token_invalid"},
		{name: "no aud", claims: object{"aud": absent{}}, code: "id_token_invalid"},
		{name: "empty aud", claims: object{"aud": []string{}}, code: "id_token_invalid"},
		{name: "aud in a list", claims: object{"aud": []string{clientID}}},
		{name: "several aud without azp", claims: object{"aud": []string{"another", clientID}}, code: "id_token_invalid"},
		{name: "several aud with azp", claims: object{"aud": []string{"another", clientID}, "azp": clientID}},
		{name: "several aud with another azp", claims: object{"aud": []string{"another", clientID}, "azp": "another"}, code: "id_token_invalid"},
		{name: "azp", claims: object{"azp": clientID}},
		{name: "wrong azp", claims: object{"azp": "another"}, code: "id_token_invalid"},
		{name: "azp a list", claims: object{"azp": []string{clientID}}, code: "id_token_invalid"},
		{name: "azp null", claims: object{"azp": nil}, code: "id_token_invalid"},
		{name: "wrong nonce", claims: object{"nonce": "another"}, code: "nonce_mismatch"},
		{name: "no nonce", claims: object{"nonce": absent{}}, code: "nonce_mismatch"},
		{name: "empty nonce", claims: object{"nonce": ""}, code: "nonce_mismatch"},
		{name: "nonce a number", claims: object{"nonce": 1}, code: "id_token_invalid"},
		{name: "wrong iss", claims: object{"iss": "https://evil.example.com"}, code: "id_token_invalid"},
		{name: "iss with a slash", claims: object{"iss": issuer + "/"}, code: "id_token_invalid"},
		{name: "no iss", claims: object{"iss": absent{}}, code: "id_token_invalid"},
		{name: "expired within the tolerance", claims: object{"exp": seconds(-time.Minute)}},
		{name: "expired", claims: object{"exp": seconds(-time.Minute - time.Second)}, code: "id_token_invalid"},
		{name: "no iat", claims: object{"iat": absent{}}, code: "id_token_invalid"},
		{name: "iat null", claims: object{"iat": nil}, code: "id_token_invalid"},
		{name: "iat ahead within the tolerance", claims: object{"iat": seconds(time.Minute)}},
		{name: "iat in the future", claims: object{"iat": seconds(time.Hour)}, code: "id_token_invalid"},
		{name: "at_hash", claims: object{"at_hash": leftHalf(sha256.Sum256([]byte(accessToken)))}},
		{name: "wrong at_hash", claims: object{"at_hash": leftHalf(sha256.Sum256([]byte("another")))}, code: "id_token_invalid"},
		{name: "empty at_hash", claims: object{"at_hash": ""}, code: "id_token_invalid"},
		{name: "at_hash null", claims: object{"at_hash": nil}, code: "id_token_invalid"},
		{name: "long expired", claims: object{"exp": seconds(-time.Hour)}, code: "id_token_invalid"},
		{name: "no exp", claims: object{"exp": absent{}}, code: "id_token_invalid"},
		{name: "exp zero", claims: object{"exp": 0}, code: "id_token_invalid"},
		{name: "not yet", claims: object{"nbf": seconds(time.Hour)}, code: "id_token_invalid"},
		{name: "events", claims: object{"events": object{"http://schemas.openid.net/event/backchannel-logout": object{}}}, code: "user_unknown"},
		{name: "typ none", header: object{"typ": absent{}}},
		{name: "typ jwt", header: object{"typ": "jwt"}},
		{name: "typ at+jwt", header: object{"typ": "at+jwt"}, code: "id_token_invalid"},
		{name: "typ application/at+jwt", header: object{"typ": "application/at+jwt"}, code: "id_token_invalid"},
		{name: "typ logout+jwt", header: object{"typ": "logout+jwt"}, code: "id_token_invalid"},
		{name: "typ in another case", header: object{"typ": "Logout+JWT"}, code: "id_token_invalid"},
		{name: "no sub", claims: object{"sub": absent{}}, code: "user_unknown"},
		{name: "empty sub", claims: object{"sub": ""}, code: "user_unknown"},
		{name: "sub a number", claims: object{"sub": 7}, code: "id_token_invalid"},
		{name: "sub of 255", claims: object{"sub": strings.Repeat("é", 255)}},
		{name: "sub of 256", claims: object{"sub": strings.Repeat("é", 256)}, code: "user_unknown"},
		{name: "sub with a line break", claims: object{"sub": "alice\nbob"}, code: "user_unknown"},
		{name: "sub with NUL", claims: object{"sub": "alice\x00"}, code: "user_unknown"},
		{name: "longer than 32 KiB", claims: object{"pad": strings.Repeat("x", 32<<10)}, code: "id_token_invalid"},
		{name: "sid a number", claims: object{"sid": 1}},
		// Claim names are case-sensitive. Providers may let users add claims,
		// except for the exact names.
		{name: "other claims in another case", claims: object{"SUB": "bob", "Nonce": "x", "ISS": "x", "Aud": "x", "EXP": 1, "Events": 7, "ſub": "x", "Azp": "x", "NBF": 1 << 40}},
		{name: "iss in another case", claims: object{"iss": "https://evil.example.com", "isſ": issuer, "ISS": issuer, "isS": issuer}, code: "id_token_invalid"},
		{name: "iss only in another case", claims: object{"iss": absent{}, "ISS": issuer}, code: "id_token_invalid"},
		{name: "aud beside another case", claims: object{"aud": "another", "auD": clientID}, code: "id_token_invalid"},
		{name: "aud only in another case", claims: object{"aud": absent{}, "AUD": clientID}, code: "id_token_invalid"},
		{name: "exp beside another case", claims: object{"exp": 1, "exP": seconds(time.Hour)}, code: "id_token_invalid"},
		{name: "exp only in another case", claims: object{"exp": absent{}, "EXP": seconds(time.Hour)}, code: "id_token_invalid"},
		{name: "sub only in another case", claims: object{"sub": absent{}, "SUB": "alice"}, code: "user_unknown"},
	} {
		t.Run(c.name, func(t *testing.T) {
			withOIDC(t, func(t *testing.T, w *oidcHarness) {
				w.op.tokens(func(nonce string) string {
					return sign(rsaKey(), edited(header(object{"typ": "JWT"}), c.header), idClaims(merged(object{"nonce": nonce}, c.claims)))
				})
				w.checkSignIn(t, c.code)
			})
		})
	}
}

// checkSignIn signs in and expects this code, or success if it is empty.
func (w *oidcHarness) checkSignIn(t *testing.T, code string) {
	t.Helper()
	b := w.browser(t)
	if code == "" {
		b.signIn()
		return
	}
	b.checkSignInFails(code)
	b.checkUser(nobody)
	if asked := w.store.asked(); asked != "" {
		t.Errorf("the store was asked to %s", asked)
	}
}

func leftHalf(sum [sha256.Size]byte) string { return encoded(string(sum[:sha256.Size/2])) }

func TestIDTokenAlgorithmMustBeAnnounced(t *testing.T) {
	eachOIDC(t, map[string]badToken{
		"announced":      {claims: object{"id_token_signing_alg_values_supported": []string{"ES256", "RS256"}}},
		"another":        {claims: object{"id_token_signing_alg_values_supported": []string{"ES256"}}, code: "id_token_invalid"},
		"none in common": {claims: object{"id_token_signing_alg_values_supported": []string{"HS256", "none"}}, code: "id_token_invalid"},
		"empty":          {claims: object{"id_token_signing_alg_values_supported": []string{}}},
	}, func(t *testing.T, w *oidcHarness, c badToken) {
		w.serveMetadata(c.claims)
		w.checkSignIn(t, c.code)
	})
}

func TestIDTokenNonceIsCaseSensitive(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		w.op.tokens(func(nonce string) string { return idTokenOf(object{"Nonce": nonce, "NONCE": nonce}) })
		w.checkSignIn(t, "nonce_mismatch")
	})
}

func TestIDTokenMustBeSignedByProvider(t *testing.T) {
	for name, token := range map[string]func(payload object) string{
		"unsigned": func(p object) string { return encoded(`{"alg":"none"}`) + "." + encoded(asJSON(p)) + "." },
		"unsigned with a kid": func(p object) string {
			return encoded(`{"alg":"none","kid":"rsa"}`) + "." + encoded(asJSON(p)) + "."
		},
		"HS256 with the client secret": func(p object) string {
			return sign([]byte(clientSecret), object{"alg": "HS256"}, p)
		},
		"HS256 with the client secret and a kid": func(p object) string {
			return sign([]byte(clientSecret), object{"alg": "HS256", "kid": "rsa"}, p)
		},
		"HS512":                          func(p object) string { return sign([]byte("secret"), object{"alg": "HS512", "kid": "rsa"}, p) },
		"an unknown key":                 func(p object) string { return sign(attackerKey(), object{"alg": "RS256", "kid": "new"}, p) },
		"an unknown key of a known name": func(p object) string { return sign(attackerKey(), object{"alg": "RS256", "kid": "rsa"}, p) },
		"a key of its own": func(p object) string {
			return sign(attackerKey(), object{"alg": "RS256", "jwk": public("rsa", attackerKey())}, p)
		},
		"in the JSON form": func(p object) string {
			parts := strings.Split(sign(rsaKey(), object{"alg": "RS256", "kid": "rsa"}, p), ".")
			return asJSON(object{"protected": parts[0], "payload": parts[1], "signature": parts[2]})
		},
		"changed": func(p object) string {
			good := sign(rsaKey(), object{"alg": "RS256", "kid": "rsa"}, p)
			return good[:len(good)-20] + flipped(good[len(good)-20]) + good[len(good)-19:]
		},
		"with a line break": func(p object) string { return sign(rsaKey(), object{"alg": "RS256", "kid": "rsa"}, p) + "\n" },
		"claims twice": func(p object) string {
			return signText(rsaKey(), "RS256", `{"alg":"RS256","kid":"rsa"}`, strings.Replace(asJSON(p), `"sub"`, `"sub":"bob","sub"`, 1))
		},
		"claims null": func(object) string { return signText(rsaKey(), "RS256", `{"alg":"RS256","kid":"rsa"}`, "null") },
	} {
		t.Run(name, func(t *testing.T) {
			attackerKey()
			withOIDC(t, func(t *testing.T, w *oidcHarness) {
				w.op.tokens(func(nonce string) string { return token(idClaims(object{"nonce": nonce})) })
				w.checkSignIn(t, "id_token_invalid")
			})
		})
	}
}

func TestIDTokenEmailMustBeVerified(t *testing.T) {
	for name, c := range map[string]badToken{
		"verified":           {claims: object{"email": "alice@example.com", "email_verified": true}},
		"not verified":       {claims: object{"email": "alice@example.com", "email_verified": false}, code: "user_unknown"},
		"verified as text":   {claims: object{"email": "alice@example.com", "email_verified": "true"}},
		"says nothing":       {claims: object{"email": "alice@example.com"}, code: "user_unknown"},
		"no email":           {claims: object{"email_verified": true}, code: "user_unknown"},
		"verified, no sub":   {claims: object{"email": "alice@example.com", "email_verified": true, "sub": absent{}}, code: "id_token_invalid"},
		"verified, long sub": {claims: object{"email": "alice@example.com", "email_verified": true, "sub": strings.Repeat("a", 256)}, code: "id_token_invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			withOIDC(t, func(t *testing.T, w *oidcHarness) {
				w.op.answers(c.claims)
				w.checkSignIn(t, c.code)
			}, func(c *auth.OIDCConfig) { c.UserClaim = "email" })
		})
	}
}

func TestSignInFindsNewProviderKeyAtOnce(t *testing.T) {
	otherKey()
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		b.signIn()
		advance(time.Minute)
		w.idp.publish(public("new", otherKey()))
		w.op.tokens(func(nonce string) string {
			return sign(otherKey(), header(object{"kid": "new", "typ": "JWT"}), idClaims(object{"nonce": nonce, "sub": "bob"}))
		})
		start := time.Now()
		if login := b.signIn(); login.User != "bob" || time.Since(start) != 0 {
			t.Errorf("%q after %v", login.User, time.Since(start))
		}
	})
}

// Reasons go to the log, so long inputs are cut.
func TestRejectionReasonsAreShort(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		w.op.answers(object{"aud": strings.Repeat("é", 2000)})
		b := w.browser(t)
		_, err := b.callback(w.op.authorize(b.begin("")))
		if reason := reasonOf(t, err, "id_token_invalid"); len(reason) > 400 || !strings.Contains(reason, strings.Repeat("é", 100)+`"]`) {
			t.Errorf("%d bytes: %s", len(reason), reason)
		}
		_, err = b.callback(url.Values{"state": {strings.Repeat("s", 5000)}, "error": {strings.Repeat("e", 5000)}})
		if reason := reasonOf(t, err, "state_unknown"); len(reason) > 400 {
			t.Errorf("%d bytes", len(reason))
		}
	})
}
