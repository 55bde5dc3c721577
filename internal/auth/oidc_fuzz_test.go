package auth_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"dropgate/internal/auth"
	"dropgate/internal/auth/session"
	"dropgate/internal/clienttoken"
)

func checkKnownError(t *testing.T, err error, secrets ...string) {
	t.Helper()
	_, protocol := errors.AsType[*auth.ProtocolError](err)
	_, failure := errors.AsType[*clienttoken.Failure](err)
	if !protocol && !failure {
		t.Errorf("%v (a %T), want a ProtocolError or a Failure", err, err)
	}
	checkNoSecret(t, err, secrets...)
}

// For any query and cookies there must be no panic, no session, and a known error.
// The seeds include a login cookie without its state.
func FuzzCallback(f *testing.F) {
	w := newOIDCHarness()
	login, err := w.oidc.Begin(httptest.NewRequestWithContext(context.Background(), http.MethodGet, origin+"/", http.NoBody))
	if err != nil {
		f.Fatal(err)
	}
	begun := login.Cookies[0].Name + "=" + login.Cookies[0].Value
	state := must(url.Parse(login.URL)).Query().Get("state")
	name := login.Cookies[0].Name
	for _, query := range []string{
		"", "state=", "state=a", "state=a&state=b", "state=a&code=b", "code=b", "error=access_denied", "state=a&error=%00", "state=%zz", "state;a",
		"state=a&code=b&iss=" + issuer, "state=" + strings.Repeat("a", 5000), "&&&", "=", "state[]=a", "STATE=a",
	} {
		for _, cookies := range []string{"", begun, name + "=", name + "=AAAA", name + "=" + strings.Repeat("A", 900), begun + "; " + begun, "=", ";;", "__Host-dropgate-session=x"} {
			f.Add(query, cookies)
		}
	}
	f.Fuzz(func(t *testing.T, query, cookies string) {
		if strings.Contains(query, state) {
			t.Skip("secret of this process")
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, origin+"/dropgate/auth/callback", http.NoBody)
		r.URL.RawQuery, r.Header["Cookie"] = query, []string{cookies}
		login, err := w.oidc.Complete(r)
		checkKnownError(t, err, state, clientSecret)
		if login.User != "" || login.URL != "" || login.Cookies != nil || w.store.asked() != "" {
			t.Errorf("%+v, and the store was asked to %s", login, w.store.asked())
		}
		began, err := w.oidc.Begin(r)
		if err != nil {
			checkKnownError(t, err)
		} else if len(began.Cookies) == 0 || !strings.HasPrefix(began.URL, issuer+authorizeAt+"?") {
			t.Errorf("%+v", began)
		}
	})
}

// For any logout token there must be no panic. Only the provider's tokens end
// sessions.
func FuzzLogoutToken(f *testing.F) {
	w := newOIDCHarness()
	// Ed25519 makes all fuzz workers agree on the signature.
	signed := func(edits object) string {
		return sign(edKey(), object{"alg": "EdDSA", "kid": "ed", "typ": "logout+jwt"}, logoutClaims(merged(object{"exp": doomsday.Unix()}, edits)))
	}
	id := session.NewID()
	key, _ := session.KeyOf(id.Reveal())
	if _, err := w.store.Start(context.Background(), key, session.Stored{User: clienttoken.User{ID: "alice"}, Subject: "alice", SID: "one"}, session.SignIn{Once: "s"}); err != nil {
		f.Fatal(err)
	}
	good := signed(object{"sub": "nobody"})
	first, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	for _, token := range []string{
		"", ".", "..", "a.b.c", first + "." + payload + ".", first + ".." + signature, encoded(`{"alg":"none"}`) + "." + payload + ".",
		first + "." + encoded(`{"sub":"alice"}`) + "." + signature, good + ".", good + "\n", " " + good, good[:len(good)-1], `{"payload":"` + payload + `"}`,
		signed(object{"events": 7}), signed(object{"iat": "x"}), signed(object{"iat": 1e300}), signed(object{"sub": []int{7}}), signed(object{"aud": object{}}),
		signed(object{"iat": -1e18}), signed(object{"nonce": nil}), signed(object{"exp": "x"}), signed(object{"jti": []int{1}}),
		sign(edKey(), object{"alg": "EdDSA", "kid": "ed"}, "null"), sign(edKey(), object{"alg": "EdDSA", "kid": "ed"}, `[]`), sign(edKey(), object{"alg": "EdDSA", "kid": "ed"}, `"x"`),
		sign([]byte(clientSecret), object{"alg": "HS256"}, logoutClaims(nil)), strings.Repeat("a", 9000), forged("x"),
	} {
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		n, err := w.oidc.BackChannelLogout(t.Context(), "192.0.2.1", token)
		checkKnownError(t, err, token)
		if n != 0 {
			t.Errorf("%d ended", n)
		}
		if _, err := w.store.Find(t.Context(), key, session.Extend, nil); err != nil {
			t.Errorf("the session of alice: %v", err)
		}
	})
}
