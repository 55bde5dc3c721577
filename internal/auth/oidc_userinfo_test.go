package auth_test

import (
	"net/http"
	"strings"
	"testing"

	"dropgate/internal/auth"
)

const userinfoAt = "/userinfo"

// withUserinfo lets the provider answer for claims, and returns the Authorization
// headers that it saw.
func (w *oidcHarness) withUserinfo(page http.HandlerFunc) *[]string {
	var seen []string
	w.serveMetadata(object{"userinfo_endpoint": issuer + userinfoAt})
	w.idp.serve(userinfoAt, func(answer http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Get("Authorization"))
		page(answer, r)
	})
	return &seen
}

func wantEmail(c *auth.OIDCConfig) { c.UserClaim, c.Claims = "email", []string{"customer"} }

func TestMissingClaimsComeFromUserinfo(t *testing.T) {
	const mail = "alice@example.com"
	for name, c := range map[string]struct {
		token, userinfo object
		user, code      string
		asked           bool
	}{
		"all in the ID token":      {object{"email": mail, "email_verified": true, "customer": "c"}, object{"sub": "alice", "email": "bob@example.com"}, mail, "", false},
		"email missing":            {object{"customer": "c"}, object{"sub": "alice", "email": mail, "email_verified": true}, mail, "", true},
		"email null":               {object{"customer": "c", "email": nil}, object{"sub": "alice", "email": mail, "email_verified": "true"}, mail, "", true},
		"customer missing":         {object{"email": mail, "email_verified": true}, object{"sub": "alice", "email": "bob@example.com", "customer": "c"}, mail, "", true},
		"another sub":              {object{}, object{"sub": "bob", "email": mail, "email_verified": true}, "", "exchange_failed", true},
		"no sub":                   {object{}, object{"email": mail, "email_verified": true}, "", "exchange_failed", true},
		"sub in another case":      {object{}, object{"sub": "Alice", "email": mail, "email_verified": true}, "", "exchange_failed", true},
		"sub a list":               {object{}, object{"sub": []string{"alice"}, "email": mail, "email_verified": true}, "", "exchange_failed", true},
		"not verified":             {object{}, object{"sub": "alice", "email": mail, "email_verified": false}, "", "user_unknown", true},
		"verified in the token":    {object{"email_verified": true}, object{"sub": "alice", "email": mail}, "", "user_unknown", true},
		"verified in userinfo":     {object{"email": mail}, object{"sub": "alice", "email_verified": true}, "", "user_unknown", true},
		"nowhere":                  {object{}, object{"sub": "alice"}, "", "user_unknown", true},
		"an event in the ID token": {object{"events": object{}}, object{"sub": "alice", "email": mail, "email_verified": true}, "", "user_unknown", true},
	} {
		t.Run(name, func(t *testing.T) {
			withOIDC(t, func(t *testing.T, w *oidcHarness) {
				seen := w.withUserinfo(document(c.userinfo))
				w.op.answers(c.token)
				b := w.browser(t)
				login, err := b.callback(w.op.authorize(b.begin("")))
				if c.code != "" {
					checkProtocol(t, err, c.code)
				} else if err != nil || login.User != c.user {
					t.Errorf("%s (%v), want %s", login.User, err, c.user)
				}
				if asked := strings.Join(*seen, " "); c.asked != (asked != "") || c.asked && asked != "Bearer "+accessToken {
					t.Errorf("asked with %q", asked)
				}
			}, wantEmail)
		})
	}
}

func TestUserinfoFailuresNeverSignIn(t *testing.T) {
	signed := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/jwt")
		text(idTokenOf(object{"email": "alice@example.com", "email_verified": true}))(w, r)
	}
	for name, c := range map[string]struct {
		page   http.HandlerFunc
		outage bool
	}{
		"500": {status(500), true}, "503": {status(503), true}, "429": {status(429), true},
		"401": {status(401), false}, "403": {status(403), false}, "404": {status(404), false}, "204": {status(204), false},
		"302": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://elsewhere.example", http.StatusFound)
		}, false},
		"HTML": {text("<html>"), false}, "null": {text("null"), false}, "a list": {text("[]"), false}, "signed": {signed, false},
		"a member twice": {text(`{"sub":"alice","sub":"alice","email":"a@b.example","email_verified":true}`), false},
		"too large":      {text(`{"sub":"alice","email":"a@b.example","email_verified":true,"pad":"` + strings.Repeat("x", 100<<10) + `"}`), false},
	} {
		t.Run(name, func(t *testing.T) {
			withOIDC(t, func(t *testing.T, w *oidcHarness) {
				w.withUserinfo(c.page)
				b := w.browser(t)
				_, err := b.callback(w.op.authorize(b.begin("")))
				if c.outage {
					checkFailure(t, err)
				} else {
					checkProtocol(t, err, "exchange_failed")
				}
				b.checkUser(nobody)
			}, wantEmail)
		})
	}
}
