package app_test

import (
	"database/sql"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestAmbiguousUserIDsAreRefusedEverywhere(t *testing.T) {
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

func TestAdminAPIRefusesAmbiguousUserIDs(t *testing.T) {
	s := operated(t, directories()["SQLite"](t))
	for _, id := range []string{" ann", "ann ", "ann\u00a0", "e\u0301", "\u212a", "a\u200bb"} {
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
			got := s.operate(t, adminToken, method, "/customers/"+url.PathEscape(id), `{"customer":"`+alicesCustomer+`"}`)
			answers(t, method+" "+id, got, http.StatusBadRequest, "BadRequest")
		}
	}
}

// areOneUser checks that id names the user with the stored link.
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
func TestEmailCaseDoesNotSplitUsers(t *testing.T) {
	const secret = "a-secret-of-the-proxy-0123456789"
	for name, database := range directories() {
		t.Run(name, func(t *testing.T) {
			at := database(t)
			d := newTools(t, at)
			d.environ = append(d.environ, "AUTH_USER_CLAIM=email")
			s := newFixture(t).start(t, map[string]string{
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

// TestOldUserIDsCanBeRemoved: an earlier version stored ids that this version
// refuses.
func TestOldUserIDsCanBeRemoved(t *testing.T) {
	for name, database := range directories() {
		t.Run(name, func(t *testing.T) {
			at := database(t)
			d := newTools(t, at)
			s := operated(t, at)
			for _, id := range []string{" ann", "ann ", "e\u0301", "\u212a", "ann\ufe0f", "\u115f"} {
				path := "/customers/" + url.PathEscape(id)
				insertLink(t, at, id, alicesCustomer)
				showsOldRow(t, d, s, id)
				d.good("unlink", id)
				insertLink(t, at, id, alicesCustomer)
				if got := s.operate(t, adminToken, http.MethodDelete, path, ""); got.status != http.StatusNoContent {
					t.Errorf("DELETE %q: %d %s", id, got.status, got.body)
				}
				d.holds()
				if got := d.run("unlink", id); got.fault == nil {
					t.Errorf("%q is gone, and unlinked again", id)
				}
			}
		})
	}
}

// showsOldRow fails the test unless the row can be read, and not be written.
func showsOldRow(t *testing.T, d tools, s *service, id string) {
	t.Helper()
	path := "/customers/" + url.PathEscape(id)
	if got := d.run("show", id); got.fault != nil || !strings.Contains(got.out, alicesCustomer) {
		t.Errorf("show %q: %+v", id, got)
	}
	if got := s.operate(t, adminToken, http.MethodGet, path, ""); got.status != http.StatusOK || !strings.Contains(got.body, alicesCustomer) {
		t.Errorf("GET %q: %d %s", id, got.status, got.body)
	}
	answers(t, "PUT "+id, s.operate(t, adminToken, http.MethodPut, path, `{"customer":"`+alicesCustomer+`"}`), http.StatusBadRequest, "BadRequest")
}

// insertLink adds a row as an earlier version did.
func insertLink(t *testing.T, databaseURL, user, customer string) {
	t.Helper()
	driver, at := "pgx", databaseURL
	if path, found := strings.CutPrefix(databaseURL, "sqlite:"); found {
		driver, at = "sqlite", path+"?_pragma=busy_timeout(5000)"
	}
	db, err := sql.Open(driver, at)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(t.Context(), `INSERT INTO dropgate_links (user_id, customer_id, linked_at) VALUES ($1, $2, 0)`, user, customer); err != nil {
		t.Fatal(err)
	}
}

func TestOldCapitalsMakeNoSecondUser(t *testing.T) {
	const secret = "a-secret-of-the-proxy-0123456789"
	for name, database := range directories() {
		t.Run(name, func(t *testing.T) {
			at := database(t)
			earlier := newTools(t, at) // compares byte by byte, as an earlier version did
			earlier.good("link", "Ann@Example.com", alicesCustomer)
			settings := map[string]string{
				"AUTH_MODES": "proxy", "AUTH_PROXY_SECRET": secret, "TRUSTED_PROXIES": "127.0.0.0/8", "AUTH_USER_CLAIM": "email",
				"CUSTOMER_SOURCE": "database", "DATABASE_URL": at, "ADMIN_TOKEN": adminToken,
			}
			s := newFixture(t).start(t, settings)
			vend := func(s *service) answer {
				return s.post(t, map[string]string{"X-Forwarded-User": "ann@EXAMPLE.com", "X-Proxy-Secret": secret, "Sec-Fetch-Site": "same-origin"})
			}
			answers(t, "vend", vend(s), http.StatusOK, "")
			earlier.holds("ann@example.com," + alicesCustomer)

			earlier.good("link", "ANN@example.com", bobsCustomer) // a replica that is still there
			why := newFixture(t).refuses(t, settings)
			for _, part := range []string{"DATABASE_URL", "differ only in letter case", "1 rows", `"ANN@example.com"`, "AUTH_USER_CLAIM=sub server customers unlink USER"} {
				if !strings.Contains(why, part) {
					t.Errorf("the start says %s, and lacks %s", why, part)
				}
			}
			tool := newTools(t, at)
			tool.environ = append(tool.environ, "AUTH_USER_CLAIM=email")
			if got := tool.run("show", "ann@example.com"); got.fault == nil || !strings.Contains(got.fault.Error(), "differ only in letter case") {
				t.Errorf("show: %+v", got)
			}
			earlier.environ = append(earlier.environ, "AUTH_USER_CLAIM=sub")
			earlier.good("unlink", "ANN@example.com")
			answers(t, "vend", vend(newFixture(t).start(t, settings)), http.StatusOK, "")
		})
	}
}
