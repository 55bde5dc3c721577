package emulator_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"dropgate/internal/dwolla/emulator"
)

// tokenRequest is the request of golang.org/x/oauth2 with AuthStyleInHeader.
func (d *dwolla) tokenRequest() *http.Request {
	d.t.Helper()
	r, err := http.NewRequestWithContext(d.t.Context(), http.MethodPost, d.url+"/token", strings.NewReader(grant))
	if err != nil {
		d.t.Fatal(err)
	}
	r.SetBasicAuth(url.QueryEscape(key), url.QueryEscape(secret))
	r.Header.Set("Content-Type", form)
	return r
}

func TestTokenEndpointTakesCredentialsInTheHeaderOnly(t *testing.T) {
	d := start(t)
	basic := func(id, secret string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))
	}
	good := basic(url.QueryEscape(key), url.QueryEscape(secret))
	tests := map[string]struct {
		authorization, media, body string
		status                     int
		err                        string
	}{
		"right":               {good, form, grant, 200, ""},
		"charset":             {good, form + "; charset=utf-8", grant, 200, ""},
		"in the body only":    {"", form, grant + "&client_id=the+key&client_secret=" + url.QueryEscape(secret), 401, "invalid_client"},
		"nowhere":             {"", form, grant, 401, "invalid_client"},
		"wrong id":            {basic("other", url.QueryEscape(secret)), form, grant, 401, "invalid_client"},
		"wrong secret":        {basic(url.QueryEscape(key), "other"), form, grant, 401, "invalid_client"},
		"swapped":             {basic(url.QueryEscape(secret), url.QueryEscape(key)), form, grant, 401, "invalid_client"},
		"not form-encoded":    {basic(key, secret), form, grant, 401, "invalid_client"},
		"empty":               {basic("", ""), form, grant, 401, "invalid_client"},
		"bearer":              {"Bearer x", form, grant, 401, "invalid_client"},
		"JSON":                {good, "application/json", `{"grant_type":"client_credentials"}`, 400, "invalid_request"},
		"no grant type":       {good, form, "", 400, "invalid_request"},
		"ill-formed":          {good, form, grant + "&%zz", 400, "invalid_request"},
		"grant type twice":    {good, form, grant + "&" + grant, 400, "invalid_request"},
		"refresh token":       {good, form, "grant_type=refresh_token", 400, "unsupported_grant_type"},
		"grant type in query": {good, form, "x=y", 400, "invalid_request"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.url+"/token?"+grant, strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", test.media)
			if test.authorization != "" {
				r.Header.Set("Authorization", test.authorization)
			}
			answer := d.send(r)
			if test.err == "" {
				answer.wantAccessToken(t)
			} else if want := `{"error":"` + test.err + `"}`; answer.status != test.status || string(answer.body) != want {
				t.Errorf("got %d %s, want %d %s", answer.status, answer.body, test.status, want)
			}
			if media := answer.header.Get("Content-Type"); media != "application/json" {
				t.Errorf("Content-Type %q", media)
			}
		})
	}
}

func (r reply) wantAccessToken(t *testing.T) {
	t.Helper()
	var got map[string]any
	r.decode(t, http.StatusOK, &got)
	if got["token_type"] != "Bearer" || got["expires_in"] != 3599.0 || got["access_token"] == "" || len(got) != 3 {
		t.Errorf("got %v", got)
	}
}

func TestTokenEndpointNeedsConfiguredCredentials(t *testing.T) {
	e := emulator.New(emulator.Options{})
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/token", strings.NewReader(grant))
	r.SetBasicAuth("", "")
	r.Header.Set("Content-Type", form)
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	if w.Code != http.StatusUnauthorized {
		t.Errorf("status %d", w.Code)
	}
}

func TestAccessTokensLiveAsLongAsPromised(t *testing.T) {
	d := start(t)
	first := d.accessToken()
	d.clock.advance(30 * time.Minute)
	second := d.accessToken()
	if first == second {
		t.Fatal("the same access token twice")
	}
	path := "/customers/" + d.customer(emulator.Customer{}).ID
	check := func(token string, status int) {
		t.Helper()
		got := d.call(token, http.MethodGet, path, "")
		if status == http.StatusUnauthorized {
			got.wantProblem(t, status, "ExpiredAccessToken")
		} else if got.status != status {
			t.Errorf("status %d, want %d", got.status, status)
		}
	}
	check(first, 200)
	check(second, 200)
	d.clock.advance(30*time.Minute - time.Nanosecond)
	check(first, 200)
	d.clock.advance(time.Nanosecond)
	check(first, 401)
	check(second, 200)
}

func TestAccessTokensCanBeExpiredAndRevoked(t *testing.T) {
	tests := map[string]struct {
		end  func(*dwolla)
		code string
	}{
		"expired": {func(d *dwolla) { d.ExpireAccessTokens() }, "ExpiredAccessToken"},
		"revoked": {func(d *dwolla) { d.RevokeAccessTokens() }, "InvalidAccessToken"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d := start(t)
			path := "/customers/" + d.customer(emulator.Customer{}).ID
			old := []string{d.accessToken(), d.accessToken()}
			test.end(d)
			for _, token := range old {
				d.call(token, http.MethodGet, path, "").wantProblem(t, http.StatusUnauthorized, test.code)
			}
			if got := d.call(d.accessToken(), http.MethodGet, path, ""); got.status != http.StatusOK {
				t.Errorf("a new token: %d", got.status)
			}
		})
	}
}
