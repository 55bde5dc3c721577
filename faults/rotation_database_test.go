//go:build faults

package faults_test

import (
	"database/sql"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer/customerdb"
	"dropgate/internal/postgres/postgrestest"
)

// passwordRole is the role of the service on a server that asks for passwords.
type passwordRole struct {
	admin *sql.DB
	at    url.URL // without the user
}

const roleOfService = "dropgate_service"

// newPasswordRole makes the role, and a directory that it may use. The links are in
// dropgate's tables, and in a table of the application.
func (w *world) newPasswordRole(t *testing.T, password string) *passwordRole {
	t.Helper()
	server := postgrestest.OwnServer(t)
	database, err := customerdb.OpenPostgres(clienttoken.NewSecret(server))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = database.Close() }()
	// A server that has just begun to listen may still refuse everybody.
	waitFor(t, "the tables", 20*time.Second, func() bool { return database.Migrate(t.Context()) == nil })
	r := &passwordRole{admin: postgrestest.Open(t, server)}
	r.exec(t, `CREATE TABLE users (id text PRIMARY KEY, customer text)`)
	for _, u := range w.users {
		if err := database.Link(t.Context(), u.name, u.customer); err != nil {
			t.Fatal(err)
		}
		r.exec(t, `INSERT INTO users VALUES ('`+u.name+`', '`+u.customer+`')`)
	}
	r.exec(t, `CREATE ROLE `+roleOfService+` LOGIN PASSWORD '`+password+`'`)
	r.exec(t, `GRANT ALL ON ALL TABLES IN SCHEMA public TO `+roleOfService)
	r.exec(t, `GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO `+roleOfService)
	at, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	r.at = *at
	return r
}

func (r *passwordRole) exec(t *testing.T, statement string) {
	t.Helper()
	if _, err := r.admin.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// with returns DATABASE_URL with a password.
func (r *passwordRole) with(password string) string {
	at := r.at
	at.User = url.UserPassword(roleOfService, password)
	return at.String()
}

// refuses fails the test if the server takes a password.
func (r *passwordRole) refuses(t *testing.T, password string) {
	t.Helper()
	if err := postgrestest.Open(t, r.with(password)).PingContext(t.Context()); err == nil || !strings.Contains(err.Error(), "password authentication failed") {
		t.Errorf("a login with the old password: %v", err)
	}
}

// onlyNewConnections waits until all connections of the service are younger than a time.
func (r *passwordRole) onlyNewConnections(t *testing.T, changed time.Time) {
	t.Helper()
	waitFor(t, "connections with the new password alone", 20*time.Second, func() bool {
		var old, all int
		if err := r.admin.QueryRowContext(t.Context(), `SELECT count(*) FILTER (WHERE backend_start < $2), count(*) FROM pg_stat_activity WHERE usename = $1`,
			roleOfService, changed).Scan(&old, &all); err != nil {
			t.Fatal(err)
		}
		return old == 0 && all > 0
	})
}

// TestDatabasePasswordRotatesUnderLoadWithoutAFailure changes the password of one role, by
// the steps of docs/rotation.md, at a server that checks it. One pair of replicas has its
// links in dropgate's tables, the other one asks the application's table.
func TestDatabasePasswordRotatesUnderLoadWithoutAFailure(t *testing.T) {
	t.Parallel()
	for source, settings := range map[string]map[string]string{
		"database": {"CUSTOMER_SOURCE": "database"},
		"query":    {"CUSTOMER_SOURCE": "query", "CUSTOMER_QUERY": "SELECT id, customer FROM users WHERE id = $1"},
	} {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			first, next := w.secret("the password of DATABASE_URL"), w.secret("the next password of DATABASE_URL")
			role := w.newPasswordRole(t, first)
			settings["CUSTOMER_CACHE"] = "0s"
			r := newRotation(t, w, settings, map[string]string{"DATABASE_URL": role.with(first)})
			r.replicas = []*process{w.start(t, settings), w.start(t, settings)}
			for i, p := range r.replicas {
				w.warmUp(t, w.bearers(p, 1)[0])
				bearer := http.Header{"Authorization": {"Bearer " + w.users[i].bearer}}
				for n := range 2 {
					r.load.send(fmt.Sprint("vend ", n), 20*time.Millisecond, func() (*http.Request, error) {
						return post(p.public, "/client-tokens", `{"action":"customer.read"}`, bearer.Clone())
					})
				}
			}
			r.put(t, "DATABASE_URL", role.with(first), role.with(next))
			changed := time.Now()
			role.exec(t, `ALTER ROLE `+roleOfService+` PASSWORD '`+next+`'`)
			role.refuses(t, first)
			r.put(t, "DATABASE_URL", role.with(next))
			role.onlyNewConnections(t, changed)
			r.finish(t)
		})
	}
}
