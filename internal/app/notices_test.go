package app_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"dropgate/internal/dwolla/emulator"
	"dropgate/internal/tcpproxy"
)

// metric returns the value of a series, or -1.
func (s *service) metric(t *testing.T, series string) int {
	t.Helper()
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (\d+)$`).FindStringSubmatch(s.admin(t, "/metrics").body)
	if found == nil {
		return -1
	}
	value, err := strconv.Atoi(found[1])
	if err != nil {
		t.Fatal(err)
	}
	return value
}

const receivedNotices = `dropgate_notices_total{outcome="received"}`

// subscribed waits until every replica follows the others.
func subscribed(t *testing.T, replicas ...*service) {
	t.Helper()
	for _, s := range replicas {
		until(t, "the subscription", func() bool { return s.metric(t, "dropgate_notices_subscribed") == 1 })
	}
}

// pair starts two replicas with one PostgreSQL, one Redis and caches of minutes.
func pair(t *testing.T, redisURL string, changes map[string]string) (one, two *service) {
	t.Helper()
	w := newFixture(t)
	settings := map[string]string{
		"CUSTOMER_SOURCE": "database", "DATABASE_URL": postgresURL(t), "REDIS_URL": redisURL, "CUSTOMER_CACHE": "5m",
		"ADMIN_TOKEN": adminToken, "DWOLLA_WEBHOOK_SECRET": webhookSecret,
	}
	maps.Copy(settings, changes)
	one, two = w.start(t, settings), w.start(t, settings)
	subscribed(t, one, two)
	return one, two
}

// tellOf sends a webhook about alice's Customer.
func (s *service) tellOf(t *testing.T, topic string) {
	t.Helper()
	body := fmt.Sprintf(`{"id":"event-%[1]s","resourceId":%[2]q,"topic":%[1]q,"timestamp":"2020-01-01T00:00:00.000Z",`+
		`"created":"2020-01-01T00:00:00.000Z","_links":{"customer":{"href":"%[3]s/customers/%[4]s"}}}`,
		topic, alicesCustomer, s.fixture.settings["DWOLLA_BASE_URL"], alicesCustomer)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.PublicAddr()+"/webhooks/dwolla", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Content-Type": {"application/json"}, "X-Request-Signature-Sha-256": {emulator.Sign(webhookSecret, body)}}
	if got := do(t, r); got.status != http.StatusOK {
		t.Fatalf("%s: %d %s", topic, got.status, got.body)
	}
}

// unlink removes a user's link.
func (s *service) unlink(t *testing.T, user string) {
	t.Helper()
	if got := s.operate(t, adminToken, http.MethodDelete, "/customers/"+user, ""); got.status != http.StatusNoContent {
		t.Fatalf("unlink: %d %s", got.status, got.body)
	}
}

// refusesCarol waits until a replica refuses her a token.
func (s *service) refusesCarol(t *testing.T, code string) {
	t.Helper()
	until(t, code, func() bool { return strings.Contains(s.vend(t, "carol", readCustomer).body, code) })
}

func TestUnlinkReachesOtherReplicasAtOnce(t *testing.T) {
	one, two := pair(t, redisURL(t), nil)
	answers(t, "link", one.putAlices(t, "carol"), http.StatusOK, "")
	answers(t, "cached", two.vend(t, "carol", readCustomer), http.StatusOK, "")
	one.unlink(t, "carol")
	two.refusesCarol(t, "CustomerNotLinked")
	answers(t, "the next user", two.putAlices(t, "mallory"), http.StatusOK, "")
	answers(t, "the next user's vend", one.vend(t, "mallory", readCustomer), http.StatusOK, "")
}

func TestInactiveCustomerReachesOtherReplicasAtOnce(t *testing.T) {
	for _, topic := range []string{"customer_suspended", "customer_deactivated"} {
		t.Run(topic, func(t *testing.T) {
			one, two := pair(t, redisURL(t), nil)
			answers(t, "link", one.putAlices(t, "carol"), http.StatusOK, "")
			for _, s := range []*service{one, two} {
				answers(t, "cached", s.vend(t, "carol", readCustomer), http.StatusOK, "")
			}
			one.tellOf(t, topic)
			one.refusesCarol(t, "CustomerInactive")
			two.refusesCarol(t, "CustomerInactive")
		})
	}
}

// vendAt requests a token with the browser's session, at one replica.
func (b browser) vendAt(s *service) answer {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, "http://"+s.PublicAddr()+"/dropgate/client-tokens", strings.NewReader(readCustomer))
	if err != nil {
		b.t.Fatal(err)
	}
	origin, err := url.Parse(b.site.URL)
	if err != nil {
		b.t.Fatal(err)
	}
	r.Host = origin.Host
	for _, cookie := range b.Jar.Cookies(origin) {
		r.AddCookie(cookie)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return do(b.t, r)
}

// TestLogoutElsewhereDropsTokenUnderWay: Redis itself ends the session for all later
// requests.
func TestLogoutElsewhereDropsTokenUnderWay(t *testing.T) {
	for way, logout := range logouts() {
		t.Run(way, func(t *testing.T) {
			s := newSite(t, 2, map[string]string{"SESSION_STORE": "redis", "REDIS_URL": redisURL(t), "CUSTOMER_CACHE": "5m"})
			subscribed(t, s.replicas...)
			b := s.browser(t)
			b.signIn()
			arrived, release := s.fixture.dwolla.Hold("/client-tokens", len(s.replicas))
			got := make(chan answer, len(s.replicas))
			for _, replica := range s.replicas {
				go func() { got <- b.vendAt(replica) }()
			}
			for range s.replicas {
				<-arrived
			}
			logout(t, s, b)
			until(t, "the notice", func() bool {
				return s.replicas[0].metric(t, receivedNotices)+s.replicas[1].metric(t, receivedNotices) > 0
			})
			release()
			for range s.replicas {
				answers(t, "signed out", <-got, http.StatusUnauthorized, "Unauthenticated")
			}
		})
	}
}

// TestLostNoticesAreMadeUpForAtReconnect: meanwhile a lifetime is the bound, here that
// of a status read from Dwolla.
func TestLostNoticesAreMadeUpForAtReconnect(t *testing.T) {
	w, direct := newFixture(t), redisURL(t)
	proxy, behind := tcpproxy.Before(t, direct)
	settings := map[string]string{
		"CUSTOMER_SOURCE": "database", "DATABASE_URL": postgresURL(t), "CUSTOMER_CACHE": "5m", "ADMIN_TOKEN": adminToken, "REDIS_URL": direct,
		"CUSTOMER_STATUS_INTERVAL": "1h",
	}
	one := w.start(t, settings)
	settings["REDIS_URL"] = behind
	two := w.start(t, settings)
	subscribed(t, one, two)
	answers(t, "link", one.putAlices(t, "carol"), http.StatusOK, "")
	answers(t, "cached", two.vend(t, "carol", readCustomer), http.StatusOK, "")
	proxy.Stop()
	until(t, "the end of the subscription", func() bool { return two.metric(t, "dropgate_notices_subscribed") == 0 })
	w.dwolla.SetStatus(alicesCustomer, "suspended")
	one.refusesCarol(t, "CustomerInactive")
	answers(t, "without a subscription", two.vend(t, "carol", readCustomer), http.StatusOK, "")
	proxy.Start()
	two.refusesCarol(t, "CustomerInactive")
}

func TestServiceWorksWithoutPermissionForNotices(t *testing.T) {
	r := newOwnRedis(t)
	at, _ := leastPrivileged(t, r)
	r.do("ACL SETUSER dropgate -publish -subscribe resetchannels")(t)
	s := newSite(t, 2, map[string]string{"SESSION_STORE": "redis", "REDIS_URL": at})
	for _, replica := range s.replicas {
		until(t, "a line", func() bool {
			return strings.Contains(replica.logs.String(), `"missing":"notices","reason":"redis: missing permission"`)
		})
	}
	b := s.browser(t)
	b.signIn()
	b.vends("signed in", `200 {"token":`)
	b.logout()
	b.vends("after the logout", "401 ")
	s.countInRedis(t)
}
