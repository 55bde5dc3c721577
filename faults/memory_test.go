//go:build faults

package faults_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	// maxWithFullCaches limits the memory of a process with full caches
	// (docs/security.md, "What is bounded").
	maxWithFullCaches = 120 // MiB
	// overCapacity exceeds the capacity of each rate limit (internal/ratelimit).
	overCapacity = 31_000
)

// TestServerStaysSmallWithFullCaches fills every cache, with users of all modes and
// with unknown callers.
func TestServerStaysSmallWithFullCaches(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	p := startProcess(t, c.settings(t, map[string]string{
		"AUTH_MODES":         "bearer,oidc,forward",
		"AUTH_BEARER_ISSUER": c.URL, "AUTH_BEARER_AUDIENCE": "dropgate",
		"AUTH_OIDC_ISSUER": c.URL, "AUTH_OIDC_CLIENT_ID": "dropgate-web", "AUTH_OIDC_CLIENT_SECRET": newSecrets().newValue("z"),
		"PUBLIC_URL":       "https://app.example.com",
		"AUTH_FORWARD_URL": c.URL + "/me", "AUTH_FORWARD_CACHE": "5m",
		"CUSTOMER_STATUS_INTERVAL": "24h", "DWOLLA_WEBHOOK_SECRET": newSecrets().newValue("y"),
	}))
	var signingIn sync.WaitGroup
	signingIn.Go(func() { c.fillSessions(t, p) })
	c.fillWithBearers(t, p)
	c.fillWithForwarded(t, p)
	signingIn.Wait() // before the counted logout tokens, because both share a cache
	c.fillWithLogouts(t, p)
	memory := p.peakMemory(t)
	t.Logf("with full caches: at most %d MiB", memory)
	if memory >= maxWithFullCaches {
		t.Errorf("the server used up to %d MiB, want less than %d", memory, maxWithFullCaches)
	}
}

// fillWithBearers fills the caches of tokens, rate limits, Customers and webhook
// events.
func (c *crowd) fillWithBearers(t *testing.T, p *process) {
	t.Helper()
	// Half of the tokens expire while the server still gets others.
	life := func(i int) time.Duration { return time.Duration(i%2)*time.Hour + 3*time.Second }
	flood{overCapacity, func(i int) string {
		return vendRequest(i, "Authorization: Bearer "+c.bearerOf(longName("new", i), life(i)), `{"action":"customer.create"}`)
	}, http.StatusOK}.run(t, p, "tokens, users and addresses, with an allowance to create each")
	flood{3000, func(i int) string {
		name := longName("user", i)
		owner := c.URL + "/beneficial-owners/" + ownerID(customerOf(name), i%ownersEach)
		return vendRequest(i, "Authorization: Bearer "+c.bearerOf(name, time.Hour),
			`{"action":"beneficialowner.documents.create","_links":{"beneficial-owner":{"href":"`+owner+`"}}}`)
	}, http.StatusOK}.run(t, p, "Customers, two statuses of each, and owners")
	flood{6000, func(i int) string {
		return postRequest(i, "/webhooks/dwolla", "X-Request-Signature-SHA-256: none\r\n", "{}")
	}, http.StatusUnauthorized}.run(t, p, "addresses with bad webhooks")
}

// fillWithForwarded fills the cache of the application's users.
func (c *crowd) fillWithForwarded(t *testing.T, p *process) {
	t.Helper()
	junk := strings.Repeat("j", 8000)
	cookie := func(user string, i int) string {
		return fmt.Sprintf("Sec-Fetch-Site: same-origin\r\nCookie: user=%s; junk=%d%s", user, i, junk)
	}
	flood{4000, func(i int) string {
		return vendRequest(i, cookie(fmt.Sprintf("user-%d", i), i), `{"action":"nonsense"}`)
	}, http.StatusForbidden}.run(t, p, "answers of 15 KB about users")
	flood{4000, func(i int) string {
		return vendRequest(i, cookie("user-1", i), `{"action":"customer.read"}`)
	}, http.StatusTooManyRequests}.run(t, p, "cookies of a user over the limit")
}

// fillWithLogouts fills the cache of logout tokens.
func (c *crowd) fillWithLogouts(t *testing.T, p *process) {
	t.Helper()
	flood{21_000, func(i int) string {
		return c.logoutRequest(i, c.logoutOf("nobody", "1", i))
	}, http.StatusOK}.run(t, p, "logout tokens that count once, and logouts")
	flood{1500, func(i int) string {
		return c.logoutRequest(i, c.logoutOf(strings.Repeat("k", 250), "unknown", i))
	}, http.StatusServiceUnavailable}.run(t, p, "logout tokens that wait for their key")
}

func (c *crowd) logoutRequest(i int, token string) string {
	return postRequest(i, "/auth/backchannel-logout", "Content-Type: application/x-www-form-urlencoded\r\n", url.Values{"logout_token": {token}}.Encode())
}

// fillSessions signs users in until the session store is full. The server redeems at
// most 50 codes a second, so this takes a while.
func (c *crowd) fillSessions(t *testing.T, p *process) {
	t.Helper()
	began := time.Now()
	const enough = 6000 // sign-ins
	var next, started atomic.Int64
	var full atomic.Bool
	var browsers sync.WaitGroup
	for range floodConnections {
		browsers.Go(func() {
			client := &rawClient{address: p.public, keepAlive: true}
			defer client.close()
			for i := next.Add(1); i < enough && !full.Load(); i = next.Add(1) {
				status, err := c.signIn(client, fmt.Sprintf("user-%d", i), addressOf(int(i)))
				switch {
				case err != nil:
					t.Error(err)
					return
				case status == http.StatusSeeOther || status == http.StatusFound:
					started.Add(1)
				case strings.Contains(p.stdout.String(), "SESSION_STORE=redis"):
					full.Store(true)
				default: // too many codes in this second
					<-time.After(100 * time.Millisecond)
				}
			}
		})
	}
	browsers.Wait()
	t.Logf("%d sessions in %s, at most %d MiB", started.Load(), time.Since(began).Round(time.Millisecond), p.peakMemory(t))
	if !full.Load() {
		t.Errorf("%d sign-ins did not fill the session store", started.Load())
	}
}
