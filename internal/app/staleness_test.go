package app_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"dropgate/internal/dwolla/emulator"
)

// within is how soon a change counts on the other replicas.
const within = time.Second

// lag makes a change and returns for how long the other replica still answers as
// before: until the beginning of the last such request.
func lag(t *testing.T, change func(), asBefore func() bool) time.Duration {
	t.Helper()
	change()
	changed := time.Now()
	last := changed
	for {
		began := time.Now()
		if !asBefore() {
			return last.Sub(changed)
		}
		if last = began; last.Sub(changed) > 40*time.Second {
			t.Fatal("the change never counts")
		}
	}
}

// soon fails the test unless a lag is short. A pause of the machine may spoil a round,
// but a slow service spoils all three.
func soon(t *testing.T, round func() time.Duration) {
	t.Helper()
	var lags []time.Duration
	for range 3 {
		got := round()
		if lags = append(lags, got); got < within {
			t.Logf("after %v", lags)
			return
		}
	}
	t.Errorf("the change counts after %v, want less than %v", lags, within)
}

// twins are two replicas with caches of minutes, and the command of operators.
type twins struct {
	t        *testing.T
	one, two *service
	command  tools
}

func newTwins(t *testing.T, changes map[string]string) *twins {
	t.Helper()
	w, database := newFixture(t), postgresURL(t)
	settings := map[string]string{
		"CUSTOMER_SOURCE": "database", "DATABASE_URL": database, "REDIS_URL": redisURL(t), "CUSTOMER_CACHE": "5m",
		"ADMIN_TOKEN": adminToken, "DWOLLA_WEBHOOK_SECRET": webhookSecret, "ALLOWED_ACTIONS": "dwolla-personal-vcr",
		"ENROLLMENT_KEYS": base64.StdEncoding.EncodeToString([]byte("an enrollment key of 32 bytes ok")),
	}
	maps.Copy(settings, changes)
	a := &twins{t: t, one: w.start(t, settings), two: w.start(t, settings), command: newTools(t, database)}
	if settings["REDIS_URL"] != "" {
		subscribed(t, a.one, a.two)
	}
	return a
}

// link links alice's Customer to carol, and both replicas cache it.
func (a *twins) link() {
	a.t.Helper()
	answers(a.t, "link", a.one.putAlices(a.t, "carol"), http.StatusOK, "")
	for _, s := range []*service{a.one, a.two} {
		answers(a.t, "cached", s.vend(a.t, "carol", readCustomer), http.StatusOK, "")
	}
}

// vends reports whether the second replica vends for carol.
func (a *twins) vends() bool { return a.two.vend(a.t, "carol", readCustomer).status == http.StatusOK }

// refuses reports whether it does not.
func (a *twins) refuses() bool { return !a.vends() }

// enroll names a Customer of carol's own to a replica.
func (a *twins) enroll(s *service, id string) answer {
	a.t.Helper()
	return s.asCarol(a.t, http.MethodPut, "/session/customer", `{"href":"`+s.fixture.settings["DWOLLA_BASE_URL"]+"/customers/"+id+`"}`)
}

func (s *service) asCarol(t *testing.T, method, path, body string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.PublicAddr()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + s.fixture.provider.Bearer("carol")}}
	return do(t, r)
}

// create creates a Customer of carol's own at Dwolla, and returns its id.
func (a *twins) create() string {
	a.t.Helper()
	var info pageInfo
	if err := json.Unmarshal([]byte(a.one.asCarol(a.t, http.MethodGet, "/session", "").body), &info); err != nil || info.CorrelationID == "" {
		a.t.Fatalf("no correlationId: %v", err)
	}
	answers(a.t, "create", a.one.vend(a.t, "carol", `{"action":"customer.create"}`), http.StatusOK, "") // stores the correlationId
	return a.one.fixture.dwolla.Customer(emulator.Customer{CorrelationID: info.CorrelationID}).ID
}

// tell sends a webhook about any Customer to the first replica.
func (a *twins) tell(customer, topic string) {
	a.t.Helper()
	at := a.one.fixture.settings["DWOLLA_BASE_URL"] + "/customers/" + customer
	body := fmt.Sprintf(`{"id":"event-%s","resourceId":%q,"topic":%q,"created":%q,"_links":{"customer":{"href":%q},"resource":{"href":%q}}}`,
		topic, customer, topic, time.Now().UTC().Format(time.RFC3339Nano), at, at)
	r, err := http.NewRequestWithContext(a.t.Context(), http.MethodPost, "http://"+a.one.PublicAddr()+"/webhooks/dwolla", strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	r.Header = http.Header{"Content-Type": {"application/json"}, "X-Request-Signature-Sha-256": {emulator.Sign(webhookSecret, body)}}
	if got := do(a.t, r); got.status != http.StatusOK {
		a.t.Fatalf("%s: %d %s", topic, got.status, got.body)
	}
}

// way is a way to change a link or a status.
type way struct {
	settings map[string]string
	// prepare returns the change, and whether the second replica answers as before it.
	prepare func(a *twins) (change func(), asBefore func() bool)
}

// removals are the ways to remove a link.
func removals() map[string]way {
	byCommand := func(a *twins) (func(), func() bool) {
		a.link()
		return func() { a.command.good("unlink", "carol") }, a.vends
	}
	byAPI := func(a *twins) (func(), func() bool) {
		a.link()
		return func() { a.one.unlink(a.t, "carol") }, a.vends
	}
	return map[string]way{
		"directory API":                {prepare: byAPI},
		"directory API, without Redis": {map[string]string{"REDIS_URL": ""}, byAPI},
		"customers unlink":             {prepare: byCommand},
		"customers unlink, no Redis":   {map[string]string{"REDIS_URL": ""}, byCommand},
		"bar": {prepare: func(a *twins) (func(), func() bool) {
			own := a.create()
			answers(a.t, "enroll", a.enroll(a.one, own), http.StatusOK, "")
			return func() { a.one.unlink(a.t, "carol") }, func() bool { return a.enroll(a.two, own).status == http.StatusOK }
		}},
	}
}

// additions are the ways to make a link.
func additions() map[string]way {
	return map[string]way{
		"directory API, link": {prepare: func(a *twins) (func(), func() bool) {
			return func() { a.one.putAlices(a.t, "carol") }, a.refuses
		}},
		"customers link": {prepare: func(a *twins) (func(), func() bool) {
			return func() { a.command.good("link", "carol", alicesCustomer) }, a.refuses
		}},
		"customers import": {prepare: func(a *twins) (func(), func() bool) {
			return func() { a.command.good("import", file(a.t, "carol,"+alicesCustomer)) }, a.refuses
		}},
		"enrollment": {prepare: func(a *twins) (func(), func() bool) {
			own := a.create()
			return func() { answers(a.t, "enroll", a.enroll(a.one, own), http.StatusOK, "") }, a.refuses
		}},
		"webhook customer_created": {prepare: func(a *twins) (func(), func() bool) {
			own := a.create()
			return func() { a.tell(own, "customer_created") }, a.refuses
		}},
	}
}

// statuses are the ways to learn another status of a Customer.
func statuses() map[string]way {
	told := func(topic string) way {
		return way{prepare: func(a *twins) (func(), func() bool) {
			a.link()
			return func() { a.tell(alicesCustomer, topic) }, a.vends
		}}
	}
	return map[string]way{
		"webhook customer_suspended":   told("customer_suspended"),
		"webhook customer_deactivated": told("customer_deactivated"),
		"webhook customer_reactivated": {prepare: func(a *twins) (func(), func() bool) {
			a.link()
			a.tell(alicesCustomer, "customer_suspended")
			until(a.t, "the suspension", a.refuses)
			return func() { a.tell(alicesCustomer, "customer_reactivated") }, a.refuses
		}},
		"status read from Dwolla": {
			map[string]string{"CUSTOMER_STATUS_INTERVAL": "1h", "DWOLLA_WEBHOOK_SECRET": ""},
			func(a *twins) (func(), func() bool) {
				answers(a.t, "link", a.one.putAlices(a.t, "carol"), http.StatusOK, "")
				answers(a.t, "cached", a.two.vend(a.t, "carol", readCustomer), http.StatusOK, "")
				a.one.fixture.dwolla.SetStatus(alicesCustomer, "suspended")
				return func() { a.one.refusesCarol(a.t, "CustomerInactive") }, a.vends // its first read
			},
		},
	}
}

// TestEveryChangeCountsElsewhereWithinASecond covers links and statuses. Each is
// measured in real time, with caches of five minutes.
func TestEveryChangeCountsElsewhereWithinASecond(t *testing.T) {
	for _, ways := range []map[string]way{removals(), additions(), statuses()} {
		for name, w := range ways {
			t.Run(name, func(t *testing.T) {
				soon(t, func() time.Duration {
					a := newTwins(t, w.settings)
					change, asBefore := w.prepare(a)
					if !asBefore() {
						t.Fatal("the second replica is ahead of the change")
					}
					return lag(t, change, asBefore)
				})
			})
		}
	}
}

// TestEverySessionEndCountsElsewhereWithinASecond covers each way to end a session.
func TestEverySessionEndCountsElsewhereWithinASecond(t *testing.T) {
	ways := logouts()
	ways["by a sign-in that replaces it"] = func(_ *testing.T, s *site, b browser) { b.get(s.URL + "/dropgate/auth/login") }
	for name, end := range ways {
		t.Run(name, func(t *testing.T) {
			soon(t, func() time.Duration {
				s := newSite(t, 2, map[string]string{"SESSION_STORE": "redis", "REDIS_URL": redisURL(t), "CUSTOMER_CACHE": "5m"})
				subscribed(t, s.replicas...)
				b := s.browser(t)
				b.signIn()
				copied := s.thief(t, b)
				vends := func() bool { return copied.vendAt(s.replicas[1]).status == http.StatusOK }
				if !vends() {
					t.Fatal("not signed in")
				}
				return lag(t, func() { end(t, s, b) }, vends)
			})
		})
	}
}

// TestUnlinkCommandCountsInARunningService needs neither Redis nor a second replica.
func TestUnlinkCommandCountsInARunningService(t *testing.T) {
	for name, database := range directories() {
		t.Run(name, func(t *testing.T) {
			soon(t, func() time.Duration {
				url := database(t)
				s := operated(t, url)
				answers(t, "link", s.putAlices(t, "carol"), http.StatusOK, "")
				vends := func() bool { return s.vend(t, "carol", readCustomer).status == http.StatusOK }
				if !vends() {
					t.Fatal("carol has no token")
				}
				return lag(t, func() { newTools(t, url).good("unlink", "carol") }, vends)
			})
		})
	}
}
