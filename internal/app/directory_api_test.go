package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const adminToken = "the-very-secret-of-the-operators-of-the-service"

// operate asks the directory on the admin listener, with a token.
func (s *service) operate(t *testing.T, token, method, path, body string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.AdminAddr()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}}
	return do(t, r)
}

// putAlices links alice's Customer to a user.
func (s *service) putAlices(t *testing.T, user string) answer {
	t.Helper()
	return s.operate(t, adminToken, http.MethodPut, "/customers/"+user, `{"customer":"`+alicesCustomer+`"}`)
}

// operated starts a service with the directory API and a long cache.
func operated(t *testing.T, databaseURL string) *service {
	t.Helper()
	return newFixture(t).start(t, map[string]string{
		"CUSTOMER_SOURCE": "database", "DATABASE_URL": databaseURL, "CUSTOMER_CACHE": "5m", "ADMIN_TOKEN": adminToken,
	})
}

// operations returns the audit lines of operators' changes.
func (s *service) operations(t *testing.T) string {
	t.Helper()
	var told []string
	for _, line := range s.logs.lines(t, "audit") {
		if line["mode"] == "admin" {
			told = append(told, fmt.Sprint(line["event"], " ", line["user"], " ", line["outcome"]))
		}
	}
	return strings.Join(told, ", ")
}

func TestOperatorChangesTakeEffectAndAreAudited(t *testing.T) {
	for name, database := range directories() {
		t.Run(name, func(t *testing.T) {
			s := operated(t, database(t))
			for range 2 {
				answers(t, "before", s.vend(t, "carol", readCustomer), http.StatusConflict, "CustomerNotLinked")
				answers(t, "link", s.putAlices(t, "carol"), http.StatusOK, "")
				answers(t, "carol", s.vend(t, "carol", readCustomer), http.StatusOK, "")
				answers(t, "it is carol's", s.putAlices(t, "mallory"), http.StatusConflict, "CustomerAlreadyLinked")
				answers(t, "mallory", s.vend(t, "mallory", readCustomer), http.StatusConflict, "CustomerNotLinked")
				if got := s.operate(t, adminToken, http.MethodDelete, "/customers/carol", ""); got.status != http.StatusNoContent {
					t.Errorf("unlink: %d %s", got.status, got.body)
				}
			}
			answers(t, "after", s.vend(t, "carol", readCustomer), http.StatusConflict, "CustomerNotLinked")
			once := "link carol linked, link mallory CustomerAlreadyLinked, unlink carol unlinked"
			if got := s.operations(t); got != once+", "+once {
				t.Errorf("audit lines: %s", got)
			}
			shows(t, s, adminToken)
		})
	}
}

func TestDirectoryAPINeedsItsToken(t *testing.T) {
	s := operated(t, directories()["SQLite"](t))
	for _, token := range []string{"", "the-very-wrong-one", adminToken[:len(adminToken)-1], adminToken + "x"} {
		for method, path := range map[string]string{http.MethodGet: "/customers", http.MethodPut: "/customers/mallory", http.MethodDelete: "/customers/mallory"} {
			answers(t, method+" with "+token, s.operate(t, token, method, path, `{"customer":"`+alicesCustomer+`"}`), http.StatusUnauthorized, "Unauthenticated")
		}
	}
	answers(t, "mallory", s.vend(t, "mallory", readCustomer), http.StatusConflict, "CustomerNotLinked")
	answers(t, "the list", s.operate(t, adminToken, http.MethodGet, "/customers", ""), http.StatusOK, "")
	// Not for users, and not without a setting.
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.PublicAddr()+"/customers", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+adminToken)
	answers(t, "the public listener", do(t, r), http.StatusNotFound, "NotFound")
	s = newFixture(t).start(t, map[string]string{"CUSTOMER_SOURCE": "database", "DATABASE_URL": directories()["SQLite"](t)})
	if got := s.operate(t, "", http.MethodGet, "/customers", ""); got.status != http.StatusNotFound {
		t.Errorf("without ADMIN_TOKEN: %d %s", got.status, got.body)
	}
}

// TestServiceSeesChangesByCommands changes the directory of a running service.
func TestServiceSeesChangesByCommands(t *testing.T) {
	for name, database := range directories() {
		t.Run(name, func(t *testing.T) {
			at := database(t)
			s := newFixture(t).start(t, map[string]string{"CUSTOMER_SOURCE": "database", "DATABASE_URL": at, "CUSTOMER_CACHE": "100ms"})
			d := newTools(t, at)
			d.good("link", "carol", alicesCustomer)
			answers(t, "linked", s.vend(t, "carol", readCustomer), http.StatusOK, "")
			d.good("unlink", "carol")
			until(t, "the end of the cache's life", func() bool { return s.vend(t, "carol", readCustomer).status == http.StatusConflict })
		})
	}
}
