package oidctest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dropgate/internal/auth/oidctest"
	"dropgate/internal/auth/provider"
)

func users() map[string]map[string]any {
	return map[string]map[string]any{"alice": {"email": "alice@example.com"}}
}

// status asks for the keys and returns the status.
func status(t *testing.T, p *oidctest.Provider, carrier http.RoundTripper) (int, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.Issuer+"/keys", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: carrier, Timeout: time.Minute}).Do(r)
	if err != nil {
		return 0, err
	}
	_ = resp.Body.Close()
	return resp.StatusCode, nil
}

func TestSignInReturnsToTheService(t *testing.T) {
	p := oidctest.New(t, provider.Options{Users: users()})
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.URL.Path)
	}))
	t.Cleanup(service.Close)
	client := oidctest.Client(service.URL + "/dropgate")
	if want := service.URL + "/"; client.PostLogoutRedirectURIs[0] != want {
		t.Errorf("the browser may go to %q after the sign-out, want %q", client.PostLogoutRedirectURIs, want)
	}
	p.AddClient(client)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	query := url.Values{
		"client_id": {oidctest.ClientID}, "response_type": {"code"}, "scope": {"openid"}, "redirect_uri": client.RedirectURIs,
	}
	resp := p.SignIn(&http.Client{Jar: jar}, p.Issuer+"/authorize?"+query.Encode(), "alice")
	defer func() { _ = resp.Body.Close() }()
	if at := resp.Request.URL; !strings.HasPrefix(at.String(), client.RedirectURIs[0]+"?") || !at.Query().Has("code") {
		t.Errorf("the browser is at %s, want a code at %s", at, client.RedirectURIs[0])
	}
}

func TestSignInFollowsAPageThatLoadsAgain(t *testing.T) {
	p := oidctest.New(t, provider.Options{Users: users()})
	visits := 0
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if visits++; visits == 1 {
			http.SetCookie(w, &http.Cookie{Name: "landed", Value: "1"})
			_, _ = io.WriteString(w, `<!DOCTYPE html><meta http-equiv="refresh" content="0">`)
			return
		}
		if _, err := r.Cookie("landed"); err != nil || !r.URL.Query().Has("code") {
			t.Errorf("the page was loaded again as %s, with the cookies %v", r.URL, r.Cookies())
		}
	}))
	t.Cleanup(service.Close)
	client := oidctest.Client(service.URL)
	p.AddClient(client)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	query := url.Values{
		"client_id": {oidctest.ClientID}, "response_type": {"code"}, "scope": {"openid"}, "redirect_uri": client.RedirectURIs,
	}
	resp := p.SignIn(&http.Client{Jar: jar}, p.Issuer+"/authorize?"+query.Encode(), "alice")
	if _ = resp.Body.Close(); visits != 2 || resp.StatusCode != http.StatusOK {
		t.Errorf("%d visits, at last %s", visits, resp.Status)
	}
}

func TestFaultsLastUntilHealed(t *testing.T) {
	p := oidctest.New(t, provider.Options{})
	p.Fail(http.StatusBadGateway)
	if got, err := status(t, p, nil); got != http.StatusBadGateway {
		t.Errorf("%d %v, want 502", got, err)
	}
	p.Heal()
	if got, err := status(t, p, nil); got != http.StatusOK {
		t.Errorf("healed: %d %v, want 200", got, err)
	}
}

func TestHangLastsUntilTheClientGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := oidctest.New(t, provider.Options{Issuer: "https://id.example.com"})
		p.Hang()
		began := time.Now()
		if got, err := status(t, p, p.Transport()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%d %v, want a timeout", got, err)
		}
		if took := time.Since(began); took != time.Minute {
			t.Errorf("the client waited %v", took)
		}
		go func() {
			<-time.After(time.Second)
			p.Heal()
		}()
		if got, err := status(t, p, p.Transport()); got != http.StatusOK {
			t.Errorf("healed: %d %v, want 200", got, err)
		}
	})
}

func TestTestEndsWhileARequestHangs(t *testing.T) {
	done := make(chan struct{})
	t.Run("", func(t *testing.T) {
		p := oidctest.New(t, provider.Options{})
		p.Hang()
		connected := make(chan struct{})
		carrier := &http.Transport{}
		t.Cleanup(carrier.CloseIdleConnections)
		go func() {
			r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, p.Issuer+"/keys", http.NoBody)
			if err == nil {
				close(connected)
				var resp *http.Response
				if resp, err = carrier.RoundTrip(r); err == nil {
					_ = resp.Body.Close()
				}
			}
			close(done)
		}()
		<-connected
	})
	<-done
}
