package customer_test

import (
	"errors"
	"testing"

	"dropgate/internal/clienttoken"
)

// A database may treat different ids as equal.
func TestQueryRefusesRowsEqualOnlyToTheDatabase(t *testing.T) {
	app := newApplication(t)
	app.Exec(t, `CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`)
	app.Exec(t, `CREATE TABLE folded (id TEXT COLLATE nocase, padded CHAR(8), number INT, customer TEXT)`)
	app.Exec(t, `INSERT INTO folded VALUES ('Ann', 'Ann', 1, '`+customerA+`')`)
	for statement, users := range map[string]map[string]bool{
		`SELECT id, customer FROM folded WHERE id = $1`:                        {"Ann": true, "ann": false, "ANN": false},
		`SELECT id, customer FROM folded WHERE lower(id) = lower($1)`:          {"Ann": true, "ann": false},
		`SELECT padded, customer FROM folded WHERE padded = $1::text::char(8)`: {"Ann": true},
		`SELECT number, customer FROM folded WHERE number = $1::int`:           {"1": true, "01": false, "+1": false},
		`SELECT customer, id FROM folded WHERE id = $1`:                        {"Ann": false},
		`SELECT NULL::text, customer FROM folded WHERE id = $1`:                {"Ann": false},
		`SELECT id, customer FROM folded WHERE $1 <> ''`:                       {"Ann": true, "bob": false},
	} {
		q := newQuery(t, app.URL, statement)
		if err := q.Check(t.Context()); err != nil {
			t.Errorf("%s: %v", statement, err)
		}
		for user, found := range users {
			got, err := ask(q, user)
			failure, failed := errors.AsType[*clienttoken.Failure](err)
			if found != (err == nil && got == customerURL(t, customerA)) || !found && (!failed || failure.Code != clienttoken.Unavailable) {
				t.Errorf("%s: the Customer of %q is %q (error %v)", statement, user, got, err)
			}
		}
	}
}

func TestQueryComparesEmailsWithoutLetterCase(t *testing.T) {
	app := newApplication(t)
	app.Exec(t, `INSERT INTO users VALUES ('Bob@Example.com', 9, NULL, '`+customerB+`')`)
	q := newQuery(t, app.URL, `SELECT id, customer FROM users WHERE lower(id) = $1`)
	q.SetUserIDs(clienttoken.UserIDs{Emails: true})
	if got, err := ask(q, "bob@example.com"); err != nil || got != customerURL(t, customerB) {
		t.Errorf("got %q, %v", got, err)
	}
}
