package app_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const readToken = adminToken + "-to-read"

// sessionStores start a site with operators on each store.
func sessionStores() map[string]func(t *testing.T) *site {
	start := func(t *testing.T, replicas int, changes map[string]string) *site {
		t.Helper()
		settings := map[string]string{"ADMIN_TOKEN": "ann:rw:" + adminToken + ",audit:ro:" + readToken}
		maps.Copy(settings, changes)
		return newSite(t, replicas, settings)
	}
	return map[string]func(t *testing.T) *site{
		"memory": func(t *testing.T) *site { t.Helper(); return start(t, 1, nil) },
		"redis": func(t *testing.T) *site {
			t.Helper()
			return start(t, 2, map[string]string{"SESSION_STORE": "redis", "REDIS_URL": redisURL(t)})
		},
	}
}

// onSessionStores runs a test on each store.
func onSessionStores(t *testing.T, test func(t *testing.T, s *site)) {
	t.Helper()
	for name, start := range sessionStores() {
		t.Run(name, func(t *testing.T) { test(t, start(t)) })
	}
}

// shown is a session that operators see.
type shown struct {
	ID, User                                  string
	StartedAt, LastUsedAt, IdleEndsAt, EndsAt time.Time
}

// sessionsOf lists a user's sessions, each time on the last replica.
func (s *site) sessionsOf(t *testing.T, user string) []shown {
	t.Helper()
	got := s.replicas[len(s.replicas)-1].operate(t, readToken, http.MethodGet, "/sessions?user="+user, "")
	var list struct {
		Store    string
		Sessions []shown
	}
	if err := json.Unmarshal([]byte(got.body), &list); err != nil || got.status != http.StatusOK || list.Store == "" {
		t.Fatalf("the sessions of %s: %d %s", user, got.status, got.body)
	}
	return list.Sessions
}

// ends fails the test unless a request of an operator ends n sessions.
func (s *site) ends(t *testing.T, path string, n int) {
	t.Helper()
	got := s.replicas[0].operate(t, adminToken, http.MethodDelete, path, "")
	if got.status != http.StatusOK || strings.TrimSpace(got.body) != fmt.Sprintf(`{"ended":%d}`, n) {
		t.Errorf("DELETE %s: %d %s, want %d ended", path, got.status, got.body, n)
	}
}

// signOuts are the audit entries about ended sessions, on all replicas.
func (s *site) signOuts(t *testing.T) string {
	t.Helper()
	var told []string
	for _, replica := range s.replicas {
		for _, line := range replica.logs.lines(t, "audit") {
			if line["event"] == "sign_out" {
				told = append(told, fmt.Sprint(line["mode"], " ", line["operator"], " ", line["user"], " ", line["outcome"], " ", line["reason"]))
			}
		}
	}
	slices.Sort(told)
	return strings.Join(told, ", ")
}

func TestOperatorSeesSessionsWithoutSecrets(t *testing.T) {
	onSessionStores(t, func(t *testing.T, s *site) {
		began := time.Now().Add(-time.Second)
		b, carols := s.browser(t), s.browser(t)
		b.signIn()
		carols.signInAs("carol")
		b.vends("signed in", "200 ")
		list := s.sessionsOf(t, "alice")
		if len(list) != 1 || list[0].User != "alice" {
			t.Fatalf("alice's sessions: %+v", list)
		}
		got := list[0]
		for name, at := range map[string]time.Time{
			"startedAt": got.StartedAt, "lastUsedAt": got.LastUsedAt,
			"idleEndsAt": got.IdleEndsAt.Add(-15 * time.Minute), "endsAt": got.EndsAt.Add(-8 * time.Hour),
		} {
			if at.Before(began) || at.After(time.Now().Add(time.Second)) {
				t.Errorf("%s is %s off", name, time.Until(at))
			}
		}
		if list := s.sessionsOf(t, "mallory"); len(list) != 0 {
			t.Errorf("mallory's sessions: %+v", list)
		}
		s.showsNoSecret(t, b)
		until(t, "the entry of the read", func() bool {
			return slices.ContainsFunc(s.replicas[0].logs.lines(t, "audit"), func(l map[string]any) bool {
				return l["event"] == "sessions" && l["operator"] == "audit" && l["user"] == "alice" && l["outcome"] == "read"
			})
		})
	})
}

// showsNoSecret checks the answer about alice's sessions, one of which is the browser's.
func (s *site) showsNoSecret(t *testing.T, b browser) {
	t.Helper()
	answer := s.replicas[0].operate(t, readToken, http.MethodGet, "/sessions?user=alice", "")
	for _, secret := range append(s.cookies(t, b), "eyJ", webSecret, adminToken) {
		if strings.Contains(answer.body, secret) {
			t.Errorf("%q is in the answer", secret)
		}
	}
}

// operatorsEnd fails the test unless operators end sessions by handle and by user.
func (s *site) operatorsEnd(t *testing.T) {
	t.Helper()
	s.ends(t, "/sessions?user=alice", len(s.sessionsOf(t, "alice")))
	b := s.browser(t)
	b.signIn()
	s.ends(t, "/sessions/"+s.sessionsOf(t, "alice")[0].ID, 1)
	b.vends("ended by its handle", "401 ")
	b = s.browser(t)
	b.signIn()
	s.ends(t, "/sessions?user=alice", 1)
	b.vends("ended by its user", "401 ")
}

// cookies are the values of the browser's cookies.
func (s *site) cookies(t *testing.T, b browser) []string {
	t.Helper()
	own, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, cookie := range b.Jar.Cookies(own) {
		all = append(all, cookie.Value)
	}
	if len(all) == 0 {
		t.Fatal("no cookies")
	}
	return all
}

func TestHandleOfASessionIsNoCookie(t *testing.T) {
	onSessionStores(t, func(t *testing.T, s *site) {
		s.browser(t).signIn()
		handle := s.sessionsOf(t, "alice")[0].ID
		for _, value := range []string{handle, handle[:43], strings.ToUpper(handle)} {
			thief := s.browser(t)
			_, answer := thief.do(http.MethodPost, s.URL+"/dropgate/client-tokens", `{"action":"customer.read"}`, http.Header{
				"Content-Type": {"application/json"}, "Sec-Fetch-Site": {"same-origin"}, "Cookie": {"__Host-dropgate-session=" + value},
			})
			if !strings.HasPrefix(answer, "401 ") {
				t.Errorf("with %q: %s", value, answer)
			}
		}
		if list := s.sessionsOf(t, "alice"); len(list) != 1 {
			t.Errorf("alice's sessions: %+v", list)
		}
	})
}

func TestOperatorEndsSessionsOnAllReplicas(t *testing.T) {
	onSessionStores(t, func(t *testing.T, s *site) {
		one, two, three, carols := s.browser(t), s.browser(t), s.browser(t), s.browser(t)
		one.signIn()
		handle := s.sessionsOf(t, "alice")[0].ID
		two.signIn()
		three.signIn()
		carols.signInAs("carol")
		s.ends(t, "/sessions/"+handle, 1)
		one.vends("ended by its handle", "401 ")
		two.vends("another of the user", "200 ")
		s.ends(t, "/sessions/"+handle, 0)
		s.ends(t, "/sessions?user=alice", 2)
		two.vends("ended with the user's", "401 ")
		three.vends("ended with the user's", "401 ")
		s.ends(t, "/sessions?user=alice", 0)
		s.ends(t, "/sessions?user=nobody", 0)
		carols.vends("another user, who has no Customer", "409 ")
		if list := s.sessionsOf(t, "alice"); len(list) != 0 {
			t.Errorf("left: %+v", list)
		}
		entry := "admin ann alice signed_out operator"
		if got := s.signOuts(t); got != strings.Join([]string{entry, entry, entry}, ", ") {
			t.Errorf("audit entries: %s", got)
		}
		if metrics := s.replicas[0].admin(t, "/metrics").body; !strings.Contains(metrics, `dropgate_sessions_ended_total{reason="operator"} 3`) {
			t.Error("the ended sessions are not counted")
		}
	})
}

// The request waits for Dwolla on one replica while the operator ends its session on
// the other.
func TestOperatorsEndReachesRequestUnderWay(t *testing.T) {
	onSessionStores(t, func(t *testing.T, s *site) {
		if len(s.replicas) > 1 {
			subscribed(t, s.replicas...)
		}
		other := s.replicas[len(s.replicas)-1]

		for range 4 { // each replica gets some
			b := s.browser(t)
			b.signIn()
			before := other.metric(t, receivedNotices)
			got := s.fixture.meanwhile(t, func() answer { return answer{body: b.vend()} }, func() {
				s.ends(t, "/sessions?user=alice", 1)
				if len(s.replicas) > 1 {
					until(t, "the notice", func() bool { return other.metric(t, receivedNotices) > before })
				}
			})
			if !strings.HasPrefix(got.body, "401 ") {
				t.Errorf("the request under way: %s", got.body)
			}
		}
	})
}

func TestConcurrentOperatorsEndEachSessionOnce(t *testing.T) {
	onSessionStores(t, func(t *testing.T, s *site) {
		for range 6 {
			s.browser(t).signIn()
		}
		var all sync.WaitGroup
		var total atomic.Int64
		for i := range 6 {
			all.Go(func() {
				got := s.replicas[i%len(s.replicas)].operate(t, adminToken, http.MethodDelete, "/sessions?user=alice", "")
				var answer struct{ Ended int64 }
				if err := json.Unmarshal([]byte(got.body), &answer); err != nil {
					t.Errorf("%d %s", got.status, got.body)
				}
				total.Add(answer.Ended)
			})
		}
		all.Wait()
		if n := strings.Count(s.signOuts(t), "operator"); total.Load() != 6 || n != 6 {
			t.Errorf("%d ended, %d entries, want 6", total.Load(), n)
		}
	})
}

func TestReadOnlyTokenEndsNoSession(t *testing.T) {
	s := sessionStores()["memory"](t)
	b := s.browser(t)
	b.signIn()
	replica, handle := s.replicas[0], s.sessionsOf(t, "alice")[0].ID
	for _, path := range []string{"/sessions?user=alice", "/sessions/" + handle} {
		answers(t, path, replica.operate(t, readToken, http.MethodDelete, path, ""), http.StatusForbidden, "ActionNotAllowed")
		answers(t, path, replica.operate(t, "the-very-wrong-one", http.MethodDelete, path, ""), http.StatusUnauthorized, "Unauthenticated")
	}
	b.vends("still signed in", "200 ")
	until(t, "the entry of the refusal", func() bool { return strings.Contains(s.signOuts(t), "admin audit alice ActionNotAllowed") })
}

// A request that names nobody, or several, must not end sessions.
func TestUnclearRequestAboutSessionsIsRefused(t *testing.T) {
	s := sessionStores()["memory"](t)
	b := s.browser(t)
	b.signIn()
	for _, path := range []string{
		"/sessions", "/sessions?user=", "/sessions?user=alice&user=bob", "/sessions?users=alice", "/sessions?user=alice&all=1", "/sessions?user=%20alice",
		"/sessions?user=a%00", "/sessions/alice", "/sessions/" + strings.Repeat("0", 63), "/sessions/" + strings.Repeat("0", 64) + "0", "/sessions/%2e%2e",
	} {
		answers(t, path, s.replicas[0].operate(t, adminToken, http.MethodDelete, path, ""), http.StatusBadRequest, "BadRequest")
	}
	b.vends("still signed in", "200 ")
}

func TestSessionsNeedTheModeOIDC(t *testing.T) {
	s := newFixture(t).start(t, map[string]string{"CUSTOMER_SOURCE": "database", "DATABASE_URL": directories()["SQLite"](t), "ADMIN_TOKEN": adminToken})
	for method, path := range map[string]string{http.MethodGet: "/sessions?user=alice", http.MethodDelete: "/sessions?user=alice"} {
		got := s.operate(t, adminToken, method, path, "")
		answers(t, method, got, http.StatusNotFound, "NotFound")
		if !strings.Contains(got.body, "AUTH_MODES has no oidc") {
			t.Errorf("%s: %s", method, got.body)
		}
	}
}

func TestUserEndsAllOwnSessions(t *testing.T) {
	onSessionStores(t, func(t *testing.T, s *site) {
		here, there, carols := s.browser(t), s.browser(t), s.browser(t)
		here.signIn()
		there.signIn()
		carols.signInAs("carol")
		if answer := here.send(http.MethodPost, "/auth/logout?everywhere=yes", ""); !strings.HasPrefix(answer, "400 ") {
			t.Errorf("a wrong value: %s", answer)
		}
		_, answer := here.do(http.MethodPost, s.URL+"/dropgate/auth/logout?everywhere=true", "", http.Header{"Sec-Fetch-Site": {"cross-site"}})
		if !strings.HasPrefix(answer, "403 ") {
			t.Errorf("another site: %s", answer)
		}
		here.vends("still signed in", "200 ")
		there.vends("still signed in", "200 ")
		answer = here.send(http.MethodPost, "/auth/logout?everywhere=true", "")
		if !strings.HasPrefix(answer, "200 ") || !strings.Contains(answer, `"sessionsEnded":2`) || !strings.Contains(answer, `"endSessionUrl":"http`) {
			t.Errorf("logout: %s", answer)
		}
		here.vends("here", "401 ")
		there.vends("there", "401 ")
		carols.vends("another user, who has no Customer", "409 ")
		if answer := here.send(http.MethodPost, "/auth/logout?everywhere=true", ""); !strings.Contains(answer, `"sessionsEnded":0`) {
			t.Errorf("without a session: %s", answer)
		}
		entry := "oidc  alice signed_out logout_everywhere"
		if got := s.signOuts(t); got != entry+", "+entry {
			t.Errorf("audit entries: %s", got)
		}
	})
}
