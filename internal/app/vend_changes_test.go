package app_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// meanwhile calls ask, and happens while Dwolla answers.
func (w *fixture) meanwhile(t *testing.T, ask func() answer, happens func()) answer {
	t.Helper()
	arrived, release := w.dwolla.Hold("/client-tokens", 1)
	got := make(chan answer, 1)
	go func() { got <- ask() }()
	<-arrived
	happens()
	release()
	return <-got
}

// outcomes counts the audit lines of vends with an outcome.
func (s *service) outcomes(t *testing.T, outcome string) int {
	t.Helper()
	n := 0
	for _, line := range s.logs.lines(t, "audit") {
		if line["event"] == "client_token" && line["outcome"] == outcome {
			n++
		}
	}
	return n
}

func TestUnlinkDuringVendDropsToken(t *testing.T) {
	for name, database := range directories() {
		t.Run(name, func(t *testing.T) {
			s := operated(t, database(t))
			answers(t, "link", s.putAlices(t, "carol"), http.StatusOK, "")
			ask := func() answer { return s.vend(t, "carol", readCustomer) }
			got := s.fixture.meanwhile(t, ask, func() { s.operate(t, adminToken, http.MethodDelete, "/customers/carol", "") })
			answers(t, "unlinked", got, http.StatusForbidden, "CustomerMismatch")
			if n := s.outcomes(t, "CustomerMismatch"); n != 1 || s.outcomes(t, "vended") != 0 {
				t.Errorf("%d audit entries of the refusal, want 1", n)
			}
			answers(t, "link again", s.putAlices(t, "carol"), http.StatusOK, "")
			got = s.fixture.meanwhile(t, ask, func() { // nothing that matters
				s.putAlices(t, "carol")
				s.vend(t, "carol", readCustomer)
				s.vend(t, "mallory", readCustomer)
			})
			answers(t, "still linked", got, http.StatusOK, "")
		})
	}
}

func TestLinkDuringVendDropsTokenToCreate(t *testing.T) {
	w := newFixture(t)
	s := w.start(t, map[string]string{
		"CUSTOMER_SOURCE": "database", "DATABASE_URL": "sqlite:" + filepath.Join(t.TempDir(), "links.db"), "ADMIN_TOKEN": adminToken, "ALLOWED_ACTIONS": "dwolla-business-vcr",
	})
	ask := func() answer { return s.vend(t, "carol", `{"action":"customer.create"}`) }
	got := w.meanwhile(t, ask, func() { answers(t, "link", s.putAlices(t, "carol"), http.StatusOK, "") })
	answers(t, "linked", got, http.StatusConflict, "CustomerAlreadyLinked")
}

func TestSuspensionDuringVendDropsToken(t *testing.T) {
	for _, source := range []string{"claim", "database"} {
		t.Run(source, func(t *testing.T) {
			w := newFixture(t)
			s := w.start(t, map[string]string{
				"CUSTOMER_SOURCE": source, "DATABASE_URL": "sqlite:" + filepath.Join(t.TempDir(), "links.db"),
				"DWOLLA_WEBHOOK_SECRET": webhookSecret, "ADMIN_TOKEN": map[string]string{"database": adminToken}[source], "CUSTOMER_CACHE": "1m",
			})
			if source == "database" {
				answers(t, "link", s.putAlices(t, "alice"), http.StatusOK, "")
			}
			got := w.meanwhile(t, func() answer { return s.vend(t, "alice", readCustomer) }, func() {
				if told := s.tellSuspended(t, webhookSecret); told.status != http.StatusOK {
					t.Errorf("the webhook: %d", told.status)
				}
				until(t, "the suspension", func() bool { return s.vend(t, "alice", readCustomer).status == http.StatusForbidden })
			})
			answers(t, "suspended", got, http.StatusForbidden, "CustomerInactive")
		})
	}
}

func TestChangedLookupDuringVendDropsToken(t *testing.T) {
	const other = "22222222-2222-4222-8222-222222222222"
	for name, later := range map[string]string{"none": "null", "another Customer": `{"customer":"` + other + `"}`, "the same": `{"customer":"` + alicesCustomer + `"}`} {
		t.Run(name, func(t *testing.T) {
			var says atomic.Value
			says.Store(`{"customer":"` + alicesCustomer + `"}`)
			application := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				said, _ := says.Load().(string)
				_, _ = io.WriteString(w, said)
			}))
			t.Cleanup(application.Close)
			w := newFixture(t)
			s := w.start(t, map[string]string{"CUSTOMER_SOURCE": "lookup", "CUSTOMER_LOOKUP_URL": application.URL + "/{user}", "CUSTOMER_CACHE": "0s"})
			got := w.meanwhile(t, func() answer { return s.vend(t, "carol", readCustomer) }, func() {
				says.Store(later)
				s.vend(t, "carol", readCustomer)
			})
			if name == "the same" {
				answers(t, name, got, http.StatusOK, "")
			} else {
				answers(t, name, got, http.StatusForbidden, "CustomerMismatch")
			}
		})
	}
}

// TestSignOutDuringVendDropsToken covers every mode that can detect a sign-out
// here.
func TestSignOutDuringVendDropsToken(t *testing.T) {
	for _, store := range []string{"memory", "redis"} {
		t.Run(store, func(t *testing.T) {
			changes := map[string]string{"SESSION_STORE": store}
			if store == "redis" {
				changes["REDIS_URL"] = redisURL(t)
			}
			site := newSite(t, 1, changes)
			b := site.browser(t)
			b.signIn()
			ask := func() answer { return answer{body: b.send(http.MethodPost, "/client-tokens", readCustomer)} }
			got := site.fixture.meanwhile(t, ask, func() { b.send(http.MethodPost, "/auth/logout", "") })
			wants(t, "signed out", got.body, `401 {"code":"Unauthenticated"`)
			if s := site.replicas[0]; s.outcomes(t, "vended") != 0 || s.outcomes(t, "Unauthenticated") != 1 {
				t.Errorf("the audit has %v", s.logs.lines(t, "audit"))
			}
		})
	}
}

func TestForwardRefusalDuringVendDropsToken(t *testing.T) {
	var signedOut atomic.Bool
	application := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if cookie, err := r.Cookie("app"); err != nil || cookie.Value == "alice" && signedOut.Load() {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"sub":"alice","dwolla_customer":"`+alicesCustomer+`"}`)
	}))
	t.Cleanup(application.Close)
	w := newFixture(t)
	s := w.start(t, map[string]string{"AUTH_MODES": "forward", "AUTH_FORWARD_URL": application.URL, "AUTH_FORWARD_CACHE": "0s"})
	as := func(cookie string) answer {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.PublicAddr()+"/client-tokens", strings.NewReader(readCustomer))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header{"Content-Type": {"application/json"}, "Cookie": {"app=" + cookie}, "Sec-Fetch-Site": {"same-origin"}}
		return do(t, r)
	}
	got := w.meanwhile(t, func() answer { return as("alice") }, func() {
		signedOut.Store(true)
		as("alice")
	})
	answers(t, "refused", got, http.StatusUnauthorized, "Unauthenticated")
	got = w.meanwhile(t, func() answer { return as("another") }, func() { as("alice") })
	answers(t, "of other credentials", got, http.StatusOK, "")
}
