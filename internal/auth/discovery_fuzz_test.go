package auth_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/auth"
	"dropgate/internal/clienttoken"
)

// The bounds of a document and of a URL in it, in bytes.
const (
	documentLimit = 100 << 10
	addressLimit  = 1 << 10
)

// For any key set, a token is good only with a published key, and the attacker's
// token never is. Without a usable key there is an outage with a short error.
func FuzzKeySet(f *testing.F) {
	ed, rsa := asJSON(public("ed", edKey())), asJSON(public("rsa", rsaKey()))
	edit := func(from, to string) string { return strings.Replace(ed, from, to, 1) }
	for _, document := range []string{
		`{"keys":[` + ed + `]}`, `{"keys":[` + rsa + `,` + ed + `]}`, `{"keys":[` + ed + `,` + ed + `]}`, `{"keys":[` + rsa + `]}`, `{"keys":[7,null,{},[],"x",` + ed + `]}`,
		"", "null", "[]", "{}", `{"keys":{}}`, `{"keys":null}`, `{"keys":[]}`, `{"keys":[{"kty":"oct","k":"AAAA","kid":"ed"}]}`, `{"KEYS":[` + ed + `]}`,
		`{"keys":[],"keys":[` + ed + `]}`, `{"keys":[` + ed + `]} `, `{"keys":[` + ed + `]}x`, "\ufeff" + `{"keys":[` + ed + `]}`, `[` + ed + `]`, ed,
		`{"keys":[` + edit(`"ed"`, `"other"`) + `]}`, `{"keys":[` + edit(`"kty":"OKP"`, `"kty":"EC"`) + `]}`, `{"keys":[` + edit(`"kty"`, `"use":"enc","kty"`) + `]}`,
		`{"keys":[` + edit(`"kty"`, `"alg":"RS256","kty"`) + `]}`, `{"keys":[` + edit(`"kty"`, `"x5c":["AAAA"],"kty"`) + `]}`, `{"keys":[` + edit(`"x":"`, `"x":"AA`) + `]}`,
		`{"keys":[` + strings.Replace(rsa, `"e":"AQAB"`, `"e":"AQ"`, 1) + `]}`, `{"keys":[{"kty":"RSA","kid":"ed","n":"AQAB","e":"AQAB"}]}`,
		`{"keys":[` + ed + `]}` + strings.Repeat(" ", documentLimit-len(ed)-11), `{"keys":[` + ed + `]}` + strings.Repeat(" ", documentLimit), strings.Repeat("[", 11_000), `{"keys":[` + strings.Repeat("[", 11_000),
	} {
		f.Add(http.StatusOK, []byte(document))
	}
	for _, code := range []int{204, 302, 404, 500} {
		f.Add(code, []byte(`{"keys":[`+ed+`]}`))
	}
	lasting := claims(object{"exp": doomsday.Unix()})
	good := sign(edKey(), object{"alg": "EdDSA", "kid": "ed"}, lasting)
	evil := sign(attackerKey(), header(object{"kid": "ed"}), lasting)
	evilByName := sign(attackerKey(), header(object{"kid": "rsa", "jwk": public("rsa", attackerKey())}), lasting)
	x, n := between(ed, `"x":"`), between(asJSON(public("", attackerKey())), `"n":"`)
	f.Fuzz(func(t *testing.T, code int, document []byte) {
		if code < 200 || code > 599 || strings.Contains(string(document), n) {
			t.Skip("no answer that ends, or one that believes the attacker")
		}
		synctest.Test(t, func(t *testing.T) {
			p := newIDP()
			p.serve(jwks, withStatusAnd(code, string(document)))
			w := newHarness(p)
			got := w.ask(good)
			usable := code == http.StatusOK && len(document) <= documentLimit && json.Valid(document)
			checkKeys(t, w, got, publishedKeys{usable, holdsText(document, x), holdsMember(document, "kty")})
			if trimmed := strings.TrimSpace(string(document)); trimmed == `{"keys":[`+ed+`]}` && usable && got != alice {
				t.Errorf("the key of the token is the only one: %s", got)
			}
			w.checkAttacker(t, evil)
			w.checkAttacker(t, evilByName)
		})
	})
}

func (w *harness) checkAttacker(t *testing.T, token string) {
	t.Helper()
	if got := w.ask(token); got != refused && got != unavailable {
		t.Errorf("the attacker's token: %s", got)
	}
}

// publishedKeys classifies a document: whether it is usable, contains the good
// token's key, or contains anything like a key.
type publishedKeys struct{ usable, among, any bool }

// checkKeys checks the verdict on a good token against the document.
func checkKeys(t *testing.T, w *harness, got string, document publishedKeys) {
	t.Helper()
	fault := w.keys.Fault()
	switch {
	case got == alice && document.usable && document.among:
	case got == refused && document.usable && document.any:
	case got == unavailable && fault != nil && len(fault.Error()) <= 500:
	default:
		t.Errorf("%s (%v)", got, fault)
	}
}

// between returns the text between begin and the next quote.
func between(text, begin string) string {
	_, rest, _ := strings.Cut(text, begin)
	found, _, _ := strings.Cut(rest, `"`)
	return found
}

// holdsText reports whether a string in the document contains text. Base64 may
// have line breaks.
func holdsText(document []byte, text string) bool {
	var v any
	if json.Unmarshal(document, &v) != nil {
		return false
	}
	var within func(v any) bool
	within = func(v any) bool {
		switch v := v.(type) {
		case string:
			return strings.TrimRight(strings.NewReplacer("\n", "", "\r", "").Replace(v), "=") == text
		case []any:
			return slices.ContainsFunc(v, within)
		case map[string]any:
			return slices.ContainsFunc(slices.Collect(maps.Values(v)), within)
		}
		return false
	}
	return within(v)
}

// holdsMember reports whether an object in the document has this member.
func holdsMember(document []byte, name string) bool {
	var v any
	if json.Unmarshal(document, &v) != nil {
		return false
	}
	var within func(v any) bool
	within = func(v any) bool {
		switch v := v.(type) {
		case []any:
			return slices.ContainsFunc(v, within)
		case map[string]any:
			named := func(member string) bool { return strings.EqualFold(member, name) }
			return slices.ContainsFunc(slices.Collect(maps.Keys(v)), named) || slices.ContainsFunc(slices.Collect(maps.Values(v)), within)
		}
		return false
	}
	return within(v)
}

// For any discovery document, sign-ins and key fetches use only https URLs, and
// only with the right issuer.
func FuzzDiscovery(f *testing.F) {
	member := func(name, value string) string {
		return asJSON(edited(object{
			"issuer": issuer, "jwks_uri": issuer + jwks, "authorization_endpoint": issuer + authorizeAt, "token_endpoint": issuer + tokenAt,
		}, object{name: value}))
	}
	for _, name := range []string{"issuer", "jwks_uri", "authorization_endpoint", "token_endpoint", "end_session_endpoint", "ISSUER"} {
		for _, value := range []string{
			"", issuer, issuer + "/", "http://id.example.com/x", "HTTPS://id.example.com/x", "https://", "https:///x", "javascript:alert(1)", "//evil.example", "https://evil.example\r\nX: y",
			"https://%zz", "https://a b", "https://id.example.com/x?a=b#c", "https://user:password@evil.example/", " https://id.example.com", "https://[::1", "https://" + strings.Repeat("a", 2000),
		} {
			f.Add([]byte(member(name, value)))
		}
	}
	for _, document := range []string{"", "null", "[]", "{}", `{"issuer":7}`, `{"issuer":"` + issuer + `","issuer":"https://evil.example"}`, member("x", strings.Repeat("x", documentLimit))} {
		f.Add([]byte(document))
	}
	token := sign(edKey(), object{"alg": "EdDSA", "kid": "ed"}, claims(object{"exp": doomsday.Unix()}))
	f.Fuzz(func(t *testing.T, document []byte) {
		synctest.Test(t, func(t *testing.T) {
			p := newIDP(published()...)
			p.serve(discovery, text(string(document)))
			w := newHarness(p)
			if got := w.ask(token); got != unavailable && (got != alice || !namesIssuer(document)) {
				t.Errorf("%s (%v)", got, w.keys.Fault())
			}
			if fault := w.keys.Fault(); fault != nil && len(fault.Error()) > addressLimit+1000 {
				t.Errorf("%d bytes of an error: %.1100s", len(fault.Error()), fault)
			}
			checkBegun(t, p, document)
		})
	})
}

// namesIssuer reports whether the document names the right issuer, possibly among
// others.
func namesIssuer(document []byte) bool {
	d := json.NewDecoder(bytes.NewReader(document))
	if begin, err := d.Token(); err != nil || begin != json.Delim('{') {
		return false
	}
	for d.More() {
		member, err := d.Token()
		var value any
		if err != nil || d.Decode(&value) != nil {
			return false
		}
		if name, ok := member.(string); ok && strings.EqualFold(name, "issuer") && value == issuer {
			return true
		}
	}
	return false
}

// checkBegun starts a sign-in with p publishing the document. It must lead to an
// https URL of the right issuer, or report an outage.
func checkBegun(t *testing.T, p *idp, document []byte) {
	t.Helper()
	w := auth.NewOIDC(auth.OIDCConfig{
		Issuer: issuer, ClientID: clientID, ClientSecret: clienttoken.NewSecret(clientSecret), Scopes: []string{"openid"}, UserClaim: "sub",
		Origin: origin, Sessions: &faultyStore{}, Transport: p, Registerer: prometheus.NewRegistry(),
		Keys: auth.NewKeySet(auth.KeySetConfig{Issuer: issuer, Transport: p, Registerer: prometheus.NewRegistry()}),
	})
	r := request(t.Context(), http.Header{})
	r.URL.RawQuery = ""
	login, err := w.Begin(r)
	if failure, ok := errors.AsType[*clienttoken.Failure](err); ok {
		if len(failure.Error()) > addressLimit+1000 {
			t.Errorf("%d bytes of an error: %.1100s", len(failure.Error()), failure)
		}
		return
	}
	if err != nil || !leadsToAHost(login.URL) || !namesIssuer(document) {
		t.Errorf("to %q (%v)", login.URL, err)
	}
	if logout, err := w.Logout(r); err != nil || logout.EndSessionURL != "" && !leadsToAHost(logout.EndSessionURL) {
		t.Errorf("the session ends at %q (%v)", logout.EndSessionURL, err)
	}
}

func leadsToAHost(address string) bool {
	return regexp.MustCompile(`^https://[^/?#@:]`).MatchString(address)
}
