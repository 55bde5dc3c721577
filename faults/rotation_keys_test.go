//go:build faults

package faults_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dropgate/internal/clienttoken"
)

// TestKeysRotateUnderLoadWithoutAFailure changes the keys of dropgate's own, the admin
// token and the client secret at the provider, by the steps of docs/rotation.md. Users
// with sessions work, and new ones sign in.
func TestKeysRotateUnderLoadWithoutAFailure(t *testing.T) {
	// Not parallel: beside the attackers of other tests, timeouts would be failures here.
	w := newWorld(t)
	w.withPostgres(t)
	w.withRedis(t, sharedRedis(t))
	oldClient, oldSession, oldEnrollment, oldAdmin := w.secret("the first client secret"), w.secrets.newKey("the first of SESSION_KEYS"), w.secrets.newKey("the first of ENROLLMENT_KEYS"), w.secret("the first admin token")
	settings := map[string]string{}
	r := newRotation(t, w, settings, map[string]string{
		"AUTH_OIDC_CLIENT_SECRET": oldClient, "SESSION_KEYS": oldSession, "ENROLLMENT_KEYS": oldEnrollment, "ADMIN_TOKEN": oldAdmin,
	})
	site := newSite(t, w, 2, settings)
	r.replicas = site.processes
	site.registerSecret(oldClient)
	sessions := site.sendSessions(t, r.load)
	var admin atomic.Pointer[string]
	admin.Store(&oldAdmin)
	for _, p := range r.replicas {
		r.load.send("an operator's request", 50*time.Millisecond, func() (*http.Request, error) {
			request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+p.admin+"/customers/"+userName(1), http.NoBody)
			if err == nil {
				request.Header.Set("Authorization", "Bearer "+*admin.Load())
			}
			return request, err
		})
	}

	signsIn := func(when string) {
		t.Helper()
		if got := site.browser(t).signIn(t, userName(7)); got.status != http.StatusOK {
			t.Errorf("a sign-in %s: %d %s", when, got.status, got.text)
		}
	}
	newClient := w.secret("the next client secret")
	end := site.acceptBoth(oldClient, newClient)
	signsIn("while the provider accepts both")
	r.put(t, "AUTH_OIDC_CLIENT_SECRET", newClient)
	signsIn("with the new secret")
	site.registerSecret(newClient)
	end()
	signsIn("after the provider's change")

	for setting, before := range map[string]string{"SESSION_KEYS": oldSession, "ENROLLMENT_KEYS": oldEnrollment} {
		next := w.secrets.newKey("the next of " + setting)
		r.put(t, setting, before, next)
		signsIn("with the new key last")
		r.put(t, setting, next, before)
		signsIn("with the new key first")
		old := sessions.renew(t) // as after SESSION_LIFETIME
		r.put(t, setting, next)
		signsIn("with the new key alone")
		if setting == "SESSION_KEYS" {
			sessions.areOver(t, old)
		}
	}

	newAdmin := w.secret("the next admin token")
	r.put(t, "ADMIN_TOKEN", "admin:rw:"+oldAdmin, "admin-2:rw:"+newAdmin)
	admin.Store(&newAdmin)
	r.put(t, "ADMIN_TOKEN", "admin-2:rw:"+newAdmin)
	r.finish(t)
}

// registerSecret changes the client secret at the provider.
func (s *site) registerSecret(secret string) {
	s.client.Secret = clienttoken.NewSecret(secret)
	s.world.provider.AddClient(s.client)
}

// acceptBoth makes the provider accept two client secrets, of which it knows the first.
func (s *site) acceptBoth(first, second string) (end func()) {
	return s.world.secrets.replaceAnswers("/oauth/token", func(rw http.ResponseWriter, r *http.Request) {
		if id, given, _ := r.BasicAuth(); given == url.QueryEscape(second) {
			r.SetBasicAuth(id, url.QueryEscape(first))
		}
		s.world.provider.ServeHTTP(rw, r)
	})
}

// sessions are the cookies of users who have signed in.
type sessions struct {
	site    *site
	cookies []*atomic.Pointer[string]
}

// sendSessions sends vends of users who have signed in, to each server.
func (s *site) sendSessions(t *testing.T, l *rotationLoad) *sessions {
	t.Helper()
	all := &sessions{site: s, cookies: []*atomic.Pointer[string]{{}, {}, {}, {}}}
	all.renew(t)
	for _, cookie := range all.cookies {
		for _, p := range s.processes {
			l.send("a vend of a session", 20*time.Millisecond, func() (*http.Request, error) { return all.vend(p, *cookie.Load()) })
		}
	}
	return all
}

// vend is a request for a token with a session.
func (s *sessions) vend(p *process, cookie string) (*http.Request, error) {
	request, err := post(p.public, "/client-tokens", `{"action":"customer.read"}`, http.Header{"Cookie": {cookie}, "Sec-Fetch-Site": {"same-origin"}})
	if err == nil {
		request.Host = strings.TrimPrefix(s.site.URL, "https://")
	}
	return request, err
}

// renew signs the users in again, and returns the old cookies.
func (s *sessions) renew(t *testing.T) (old []string) {
	t.Helper()
	next := 0
	for i, credentials := range s.site.credentials(t, len(s.cookies)) {
		if i%2 == 0 {
			continue // a bearer, which this site does not take
		}
		cookie := strings.TrimPrefix(credentials[strings.LastIndex(credentials, "\n")+1:], "Cookie: ")
		if before := s.cookies[next].Swap(&cookie); before != nil {
			old = append(old, *before)
		}
		next++
	}
	return old
}

// areOver fails the test if a server takes an old cookie, whose key is gone.
func (s *sessions) areOver(t *testing.T, old []string) {
	t.Helper()
	if len(old) == 0 {
		t.Error("no session is old")
	}
	for _, cookie := range old {
		for _, p := range s.site.processes {
			request, err := s.vend(p, cookie)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("a session with the removed key gets %d", resp.StatusCode)
			}
		}
	}
}
