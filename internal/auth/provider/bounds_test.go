package provider_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dropgate/internal/auth/provider"
	"dropgate/internal/clienttoken"
)

// inMemory is a provider without a socket, of which a bubble can hold the time,
// and a browser for it.
func inMemory(t *testing.T) (*provider.Provider, *browser) {
	t.Helper()
	p, err := provider.New(provider.Options{Issuer: issuer, Users: users(), Clients: []provider.Client{{
		ID: "first", Secret: clienttoken.NewSecret(secret), RedirectURIs: []string{issuer + "/first"},
		PostLogoutRedirectURIs: []string{issuer + "/bye"},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return p, newBrowser(t, direct{p})
}

const (
	authorize = issuer + "/authorize?client_id=first&response_type=code&scope=openid&redirect_uri=" + issuer + "/first"
	again     = authorize + "&prompt=login"
)

// redeem shows a code to the token endpoint, and returns its status.
func redeem(t *testing.T, p *provider.Provider, code string) int {
	t.Helper()
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {issuer + "/first"}}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/oauth/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("first", url.QueryEscape(secret))
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w.Code
}

func TestAuthorizationRequestsAndCodesGrowOld(t *testing.T) {
	for name, c := range map[string]struct {
		onPage, withCode time.Duration
		want             int
	}{
		"in time":          {10*time.Minute - 1, time.Minute - 1, http.StatusOK},
		"too long at page": {10 * time.Minute, 0, http.StatusBadRequest},
		"an old code":      {0, time.Minute, http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, b := inMemory(t)
				at := b.open(authorize)
				<-time.After(c.onPage)
				landed := b.press(at, "user", "alice")
				<-time.After(c.withCode)
				if got := redeem(t, p, landed.answer().Get("code")); got != c.want {
					t.Errorf("%d, want %d", got, c.want)
				}
			})
		})
	}
}

// room is how many things of a kind the provider remembers.
const room = 1000

func TestOldestAuthorizationRequestGivesWay(t *testing.T) {
	_, b := inMemory(t)
	var pages []page
	for range room + 1 {
		pages = append(pages, b.open(authorize))
	}
	for i, want := range map[int]int{0: http.StatusBadRequest, 1: http.StatusOK, room: http.StatusOK} {
		if got := b.open(pages[i].url.String()); got.status != want {
			t.Errorf("request %d: %d, want %d", i, got.status, want)
		}
	}
}

func TestOldestSessionGivesWay(t *testing.T) {
	p, _ := inMemory(t)
	var browsers []*browser
	for range room + 1 {
		b := newBrowser(t, direct{p})
		b.press(b.open(authorize), "user", "alice")
		browsers = append(browsers, b)
	}
	for i, want := range map[int]bool{0: false, 1: true, room: true} {
		if got := browsers[i].open(authorize).answer().Has("code"); got != want {
			t.Errorf("browser %d is signed in: %v, want %v", i, got, want)
		}
	}
}

func TestOldestCodeGivesWay(t *testing.T) {
	p, b := inMemory(t)
	codes := []string{b.press(b.open(authorize), "user", "alice").answer().Get("code")}
	for range room {
		codes = append(codes, b.open(authorize).answer().Get("code"))
	}
	for i, want := range map[int]int{0: http.StatusBadRequest, 1: http.StatusOK, room: http.StatusOK} {
		if got := redeem(t, p, codes[i]); got != want {
			t.Errorf("code %d: %d, want %d", i, got, want)
		}
	}
}
