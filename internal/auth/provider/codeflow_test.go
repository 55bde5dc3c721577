package provider_test

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"

	"dropgate/internal/auth/oidctest"
	"dropgate/internal/auth/provider"
)

func TestSignInYieldsTheUsersIDToken(t *testing.T) {
	w := newWorld(t)
	verifier := oauth2.GenerateVerifier()
	answer := w.signIn(w.browser(), "first", "alice", oidc.Nonce("the nonce"), oauth2.S256ChallengeOption(verifier))
	if answer.Get("state") != "the state" || answer.Get("iss") != w.issuer {
		t.Errorf("the application found %v", answer)
	}
	who := w.redeem("first", answer, oauth2.VerifierOption(verifier))
	if who.token.Subject != "alice" || who.token.Nonce != "the nonce" || len(who.token.Audience) != 1 {
		t.Errorf("the ID token is %+v", who.token)
	}
	if life := who.token.Expiry.Sub(who.token.IssuedAt); life != time.Hour {
		t.Errorf("a life of %v, want one hour", life)
	}
	if age := time.Since(time.Unix(who.AuthTime, 0)); age < 0 || age > time.Minute || who.SID == "" {
		t.Errorf("auth_time is %v ago, sid is %q", age, who.SID)
	}
	want := claims{
		SID: who.SID, AuthTime: who.AuthTime, AZP: "first",
		Name: "Alice Demo", Email: "alice@example.com", Customer: "1111", Level: 7,
	}
	if diff := cmp.Diff(want, who.claims); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	if who.tokens.RefreshToken != "" {
		t.Error("there is a refresh token")
	}
}

func TestUserinfoAnswersUntilTheSessionEnds(t *testing.T) {
	w := newWorld(t)
	token := oauth2.StaticTokenSource(w.redeem("first", w.signIn(w.browser(), "first", "alice")).tokens)
	info, err := w.oidc.UserInfo(t.Context(), token)
	if err != nil || info.Subject != "alice" || info.Email != "alice@example.com" {
		t.Errorf("/userinfo says %+v: %v", info, err)
	}
	if err := w.provider.EndUser(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	if info, err := w.oidc.UserInfo(t.Context(), token); err == nil {
		t.Errorf("after the end /userinfo says %+v", info)
	}
}

func TestTokenEndpointAcceptsBothSecretMethods(t *testing.T) {
	w := newWorld(t)
	for name, style := range map[string]oauth2.AuthStyle{
		"client_secret_basic": oauth2.AuthStyleInHeader,
		"client_secret_post":  oauth2.AuthStyleInParams,
	} {
		config := w.oauth("first")
		config.Endpoint.AuthStyle = style
		if _, err := config.Exchange(t.Context(), w.signIn(w.browser(), "first", "alice").Get("code")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDiscoveryListsOnlyExistingEndpoints(t *testing.T) {
	p := oidctest.New(t, provider.Options{Issuer: issuer, Users: users()})
	_, body := get(t, p, "/.well-known/openid-configuration")
	var got map[string]any
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"issuer":   `"` + issuer + `"`,
		"jwks_uri": `"` + issuer + `/keys"`,
		"authorization_response_iss_parameter_supported": `true`,
		"backchannel_logout_supported":                   `true`,
		"backchannel_logout_session_supported":           `true`,
		"code_challenge_methods_supported":               `["S256"]`,
		"end_session_endpoint":                           `"` + issuer + `/end_session"`,
		"grant_types_supported":                          `["authorization_code"]`,
		"id_token_signing_alg_values_supported":          `["RS256"]`,
		"response_types_supported":                       `["code"]`,
		"token_endpoint_auth_methods_supported":          `["client_secret_basic","client_secret_post"]`,
	} {
		if says, _ := json.Marshal(got[name]); string(says) != want {
			t.Errorf("%s is %s, want %s", name, says, want)
		}
	}
	for name, value := range got {
		endpoint, _ := value.(string)
		if path, found := strings.CutPrefix(endpoint, issuer+"/"); found {
			if code, _ := get(t, p, "/"+path); code == http.StatusNotFound {
				t.Errorf("%s is %s, which is not there", name, endpoint)
			}
		}
	}
}

func TestCodeWorksOnce(t *testing.T) {
	w := newWorld(t)
	answer := w.signIn(w.browser(), "first", "alice")
	w.redeem("first", answer)
	_, err := w.oauth("first").Exchange(t.Context(), answer.Get("code"))
	refused(t, err, "invalid_grant")
}

// refused fails the test unless the token endpoint refused with code.
func refused(t *testing.T, err error, code string) {
	t.Helper()
	if e, ok := errors.AsType[*oauth2.RetrieveError](err); !ok || e.ErrorCode != code {
		t.Errorf("the token endpoint says %v, want %s", err, code)
	}
}

func TestCodeIsBoundToItsRequest(t *testing.T) {
	w := newWorld(t)
	w.provider.AddClient(provider.Client{ID: "keyless", RedirectURIs: []string{w.root + "/keyless"}})
	for name, c := range map[string]struct {
		client  string
		change  func(*oauth2.Config)
		options []oauth2.AuthCodeOption
		want    string
	}{
		"another verifier":      {options: []oauth2.AuthCodeOption{oauth2.VerifierOption(oauth2.GenerateVerifier())}, want: "invalid_grant"},
		"no verifier":           {want: "invalid_request"},
		"another secret":        {change: func(c *oauth2.Config) { c.ClientSecret = "another" }, want: "invalid_client"},
		"another client":        {change: func(c *oauth2.Config) { c.ClientID = "second" }, want: "invalid_grant"},
		"another redirect URI":  {change: func(c *oauth2.Config) { c.RedirectURL = w.root + "/second" }, want: "invalid_grant"},
		"a client of no secret": {client: "keyless", change: func(c *oauth2.Config) { c.ClientSecret = "" }, want: "invalid_client"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.client == "" {
				c.client = "first"
			}
			verifier := oauth2.GenerateVerifier()
			answer := w.signIn(w.browser(), c.client, "alice", oauth2.S256ChallengeOption(verifier))
			config := w.oauth(c.client)
			config.Endpoint.AuthStyle = oauth2.AuthStyleInParams
			if c.change != nil {
				c.change(config)
				c.options = append(c.options, oauth2.VerifierOption(verifier))
			}
			_, err := config.Exchange(t.Context(), answer.Get("code"), c.options...)
			refused(t, err, c.want)
		})
	}
}

func TestEndedSessionsCodeIsRefused(t *testing.T) {
	w := newWorld(t)
	answer := w.signIn(w.browser(), "first", "alice")
	if err := w.provider.EndUser(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	_, err := w.oauth("first").Exchange(t.Context(), answer.Get("code"))
	refused(t, err, "invalid_grant")
}

func TestUnregisteredRequestIsNotRedirected(t *testing.T) {
	w := newWorld(t)
	for name, change := range map[string]func(*oauth2.Config){
		"another redirect URI": func(c *oauth2.Config) { c.RedirectURL = w.root + "/second" },
		"a longer one":         func(c *oauth2.Config) { c.RedirectURL += "/more" },
		"none":                 func(c *oauth2.Config) { c.RedirectURL = "" },
		"another client":       func(c *oauth2.Config) { c.ClientID = "stranger" },
	} {
		t.Run(name, func(t *testing.T) {
			config := w.oauth("first")
			change(config)
			at := w.browser().open(config.AuthCodeURL("the state"))
			if at.status != http.StatusBadRequest || !strings.HasPrefix(at.url.String(), w.issuer+"/authorize?") {
				t.Errorf("ended at %s with %d", at.url, at.status)
			}
		})
	}
}

func TestClientGetsErrorsWithStateAndIssuer(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		option oauth2.AuthCodeOption
		button string
		want   string
	}{
		"cancel":               {option: oauth2.SetAuthURLParam("prompt", "login"), button: "cancel", want: "access_denied"},
		"no session":           {option: oauth2.SetAuthURLParam("prompt", "none"), want: "login_required"},
		"no openid":            {option: oauth2.SetAuthURLParam("scope", "email"), want: "invalid_scope"},
		"a plain challenge":    {option: oauth2.SetAuthURLParam("code_challenge", "plain"), want: "invalid_request"},
		"answers by form":      {option: oauth2.SetAuthURLParam("response_mode", "form_post"), want: "invalid_request"},
		"answer in a fragment": {option: oauth2.SetAuthURLParam("response_mode", "fragment"), want: "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			b := w.browser()
			at := b.open(w.oauth("first").AuthCodeURL("the state", c.option))
			if c.button != "" {
				at = b.press(at, c.button, c.button)
			}
			got := at.answer()
			if fragment, err := url.ParseQuery(at.url.EscapedFragment()); err == nil {
				maps.Copy(got, fragment)
			}
			if got.Get("error") != c.want || got.Get("state") != "the state" || got.Get("iss") != w.issuer || got.Has("code") {
				t.Errorf("ended at %s (%d), want the client with %s", at.url, at.status, c.want)
			}
		})
	}
}

func TestRotationReplacesThePublishedKey(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	old := w.redeem("first", w.signIn(b, "first", "alice"))
	if at := b.do(http.MethodPost, w.issuer+"/rotate", nil); at.status != http.StatusNoContent {
		t.Fatalf("/rotate says %d", at.status)
	}
	w.redeem("first", b.open(w.oauth("first").AuthCodeURL("")).answer())
	if _, err := w.verifier("first").Verify(t.Context(), old.raw); err == nil {
		t.Error("the old ID token verifies")
	}
	var published struct{ Keys []json.RawMessage }
	_, body := get(t, w.provider, "/keys")
	if err := json.Unmarshal([]byte(body), &published); err != nil || len(published.Keys) != 1 {
		t.Errorf("published: %s (%v), want one key", body, err)
	}
	if strings.Contains(body, `"d":`) {
		t.Error("the private key is published")
	}
}
