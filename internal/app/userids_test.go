package app_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestAUserIDWithASecondSpellingIsAFaultEverywhere(t *testing.T) {
	onEach(t, func(t *testing.T, d tools) {
		for id, want := range map[string]string{
			" ann": "begins or ends with a space", "ann ": "begins or ends with a space", "ann\u00a0": "begins or ends with a space",
			"e\u0301": "NFC", "\u212a": "NFC", "a\u200bb": "printable", "a\u202eb": "printable", "\ufeffa": "printable",
		} {
			for _, args := range [][]string{{"link", id, alicesCustomer}, {"unlink", id}, {"show", id}} {
				if got := d.run(args...); got.fault == nil || !strings.Contains(got.fault.Error(), want) {
					t.Errorf("%q: %v, want %s", args, got.fault, want)
				}
			}
			if got := d.pipe("user,customer\n"+id+","+alicesCustomer+"\n", "import", "-"); got.fault == nil || !strings.Contains(got.err, "line 2: ") || !strings.Contains(got.err, want) {
				t.Errorf("import of %q: %+v, want %s", id, got, want)
			}
		}
		d.holds()
	})
}

func TestTheAdminAPIRefusesASecondSpelling(t *testing.T) {
	s := operated(t, directories()["SQLite"](t))
	for _, id := range []string{" ann", "ann ", "ann\u00a0", "e\u0301", "\u212a", "a\u200bb"} {
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
			got := s.operate(t, adminToken, method, "/customers/"+url.PathEscape(id), `{"customer":"`+alicesCustomer+`"}`)
			answers(t, method+" "+id, got, http.StatusBadRequest, "BadRequest")
		}
	}
}

// areOneUser checks that id names the user of stored, who has a Customer.
func (d tools) areOneUser(id, stored string) {
	d.t.Helper()
	if got := d.run("link", id, bobsCustomer); got.fault == nil {
		d.t.Error("one user has two Customers")
	}
	if got := d.good("show", id); !strings.Contains(got, stored) {
		d.t.Error(got)
	}
}

// Whoever writes the address: the operator, a file, or the sign-in.
func TestEmailsAreOneUserWithAndWithoutCapitals(t *testing.T) {
	const secret = "a-secret-of-the-proxy-0123456789"
	for name, database := range directories() {
		t.Run(name, func(t *testing.T) {
			at := database(t)
			d := newTools(t, at)
			d.environ = append(d.environ, "AUTH_USER_CLAIM=email")
			s := newWorld(t).start(t, map[string]string{
				"AUTH_MODES": "proxy", "AUTH_PROXY_SECRET": secret, "TRUSTED_PROXIES": "127.0.0.0/8", "AUTH_USER_CLAIM": "email",
				"CUSTOMER_SOURCE": "database", "DATABASE_URL": at, "CUSTOMER_CACHE": "5m", "ADMIN_TOKEN": adminToken,
			})
			vend := func(user string) answer {
				return s.post(t, map[string]string{"X-Forwarded-User": user, "X-Proxy-Secret": secret, "Sec-Fetch-Site": "same-origin"})
			}
			d.good("import", file(t, "ANN@Example.COM,"+alicesCustomer))
			d.holds("ann@example.com," + alicesCustomer)
			d.areOneUser("aNN@example.com", "ann@example.com")
			for _, user := range []string{"ann@example.com", "Ann@Example.com", "ANN@EXAMPLE.COM"} {
				answers(t, user, vend(user), http.StatusOK, "")
				got := s.operate(t, adminToken, http.MethodGet, "/customers/"+user, "")
				if got.status != http.StatusOK || !strings.Contains(got.body, `"user":"ann@example.com"`) {
					t.Errorf("%s: %d %s", user, got.status, got.body)
				}
			}
			answers(t, "long s", vend("\u017fann@example.com"), http.StatusConflict, "CustomerNotLinked")
			if got := s.operate(t, adminToken, http.MethodDelete, "/customers/Ann@EXAMPLE.com", ""); got.status != http.StatusNoContent {
				t.Errorf("unlink: %d", got.status)
			}
			answers(t, "after", vend("ann@example.com"), http.StatusConflict, "CustomerNotLinked") // at once
			d.good("link", "Ann@example.com", bobsCustomer)
			d.good("unlink", "ANN@example.com")
			d.holds()
		})
	}
}
