package customer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
	"dropgate/internal/postgres/postgrestest"
	"dropgate/internal/tcpproxy"
)

var _ customer.Source = (*customer.Query)(nil)

// applicationDB is the application's own database.
type applicationDB struct {
	postgrestest.Schema
}

func newApplication(tb testing.TB) applicationDB {
	tb.Helper()
	a := applicationDB{postgrestest.New(tb)}
	a.Exec(tb, `CREATE TABLE users (id TEXT PRIMARY KEY, number BIGINT, uid UUID, customer TEXT)`)
	a.Exec(tb, `INSERT INTO users VALUES
		('ann', 1, '11111111-1111-4111-8111-11111111abcd', '`+customerA+`'),
		('url', 2, NULL, 'https://api-sandbox.dwolla.com/customers/`+strings.ToUpper(customerB)+`'),
		('null', 3, NULL, NULL),
		('empty', 4, NULL, ''),
		('wrong', 5, NULL, 'none'),
		('foreign', 6, NULL, 'https://api.dwolla.com/customers/`+customerA+`')`)
	return a
}

func newQuery(tb testing.TB, url, statement string) *customer.Query {
	tb.Helper()
	q, err := customer.NewQuery(clienttoken.NewSecret(url), statement, sandbox(tb))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = q.Close() })
	return q
}

const byID = `SELECT id, customer FROM users WHERE id = $1`

func ask(q *customer.Query, userID string) (clienttoken.CustomerURL, error) {
	return q.Customer(background(), clienttoken.User{ID: userID})
}

func TestQueryFindsTheCustomer(t *testing.T) {
	app := newApplication(t)
	for _, statement := range []string{byID, byID + " ;\n", byID + " -- and why", "WITH u AS (" + byID + ") SELECT * FROM u", byID + " LIMIT 1"} {
		q := newQuery(t, app.URL, statement)
		if err := q.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		for user, want := range map[string]string{"ann": customerA, "url": customerB} {
			if got, err := ask(q, user); err != nil || got != customerURL(t, want) {
				t.Errorf("%q: the Customer of %q is %q (error %v), want %s", statement, user, got, err, want)
			}
		}
		for _, user := range []string{"null", "empty", "nobody", "ANN", "ann ", "' OR true --", "$1"} {
			if got, err := ask(q, user); !errors.Is(err, clienttoken.ErrNoCustomer) {
				t.Errorf("%q: the Customer of %q is %q (error %v), want ErrNoCustomer", statement, user, got, err)
			}
		}
	}
}

// ErrNoCustomer would let the user create a second Customer.
func TestQueryFailsClosed(t *testing.T) {
	app := newApplication(t)
	for statement, users := range map[string][]string{
		byID: {"wrong", "foreign", "a\x00b", "a\xffb"},
		`SELECT id, customer FROM users WHERE id <> $1`:                     {"ann", "nobody"},
		`SELECT id, customer FROM users WHERE $1 = id OR customer IS NULL`:  {"ann"}, // two rows, of which one is NULL
		`SELECT id, number FROM users WHERE id = $1`:                        {"ann"},
		`SELECT number, customer FROM users WHERE number = $1::bigint`:      {"ann", "", "1e0", "01", " 1", "+1", "1 ", "99999999999999999999"},
		`SELECT number, customer FROM users WHERE number = $1`:              {"ann", "01"},
		`SELECT uid, customer FROM users WHERE uid = $1`:                    {"ann", "11111111-1111-4111-8111-11111111ABCD", "{11111111-1111-4111-8111-11111111abcd}"},
		`SELECT id, customer FROM users WHERE id = $1 AND 1/(number-1) = 0`: {"ann"},
	} {
		q := newQuery(t, app.URL, statement)
		for _, user := range users {
			got, err := ask(q, user)
			if failure, ok := errors.AsType[*clienttoken.Failure](err); !ok || !got.IsZero() || failure.Code != clienttoken.Unavailable {
				t.Errorf("%q: the Customer of %q is %q (error %v), want a failure", statement, user, got, err)
			}
		}
	}
}

func TestQueryAcceptsOtherColumnTypes(t *testing.T) {
	app := newApplication(t)
	for statement, user := range map[string]string{
		`SELECT number, customer FROM users WHERE number = $1::bigint`: "1",
		`SELECT number, customer FROM users WHERE number = $1`:         "1",
		`SELECT uid, customer FROM users WHERE uid = $1`:               "11111111-1111-4111-8111-11111111abcd",
		`SELECT id, customer::uuid FROM users WHERE id = $1`:           "ann",
	} {
		if got, err := ask(newQuery(t, app.URL, statement), user); err != nil || got != customerURL(t, customerA) {
			t.Errorf("%q: the Customer of %q is %q (error %v), want %s", statement, user, got, err, customerA)
		}
	}
}

func TestCheckRefusesUnfitQueries(t *testing.T) {
	app := newApplication(t)
	for _, statement := range []string{
		"", ";", "nonsense", "-- nothing",
		`SELECT customer FROM users`,
		`SELECT id, customer FROM users WHERE id = $1 AND id = $2`,
		`SELECT id, customer FROM users WHERE id = $2`,
		`SELECT customer FROM users WHERE id = $1`,
		`SELECT id, customer, number FROM users WHERE id = $1`,
		`SELECT FROM users WHERE id = $1`,
		`SELECT customer FROM nowhere WHERE id = $1`,
		`SELECT id, customer FROM users WHERE id = $1; DROP TABLE users`,
		byID + `) AS dropgate; DROP TABLE users; --`,
		`INSERT INTO users (id) VALUES ($1) RETURNING customer`,
		`UPDATE users SET customer = NULL WHERE id = $1 RETURNING id`,
		`DELETE FROM users WHERE id = $1 RETURNING customer`,
		`DROP TABLE users`,
		`WITH gone AS (DELETE FROM users WHERE id = $1 RETURNING customer) SELECT customer FROM gone`,
	} {
		q := newQuery(t, app.URL, statement)
		if err := q.Check(t.Context()); !errors.Is(err, customer.ErrQuery) {
			t.Errorf("%q: error %v, want ErrQuery", statement, err)
		}
		got, err := ask(q, "ann")
		if failure, ok := errors.AsType[*clienttoken.Failure](err); !ok || failure.RetryAfter != 0 {
			t.Errorf("%q: the Customer is %q (error %v), want a failure without RetryAfter", statement, got, err)
		}
	}
	wantUsers(t, app, 6)
}

func wantUsers(t *testing.T, app applicationDB, want int) {
	t.Helper()
	var users int
	if err := postgrestest.Open(t, app.URL).QueryRowContext(t.Context(), `SELECT count(customer) FROM users`).Scan(&users); err != nil || users != want-1 {
		t.Errorf("%d users have a Customer (error %v), want %d", users, err, want-1)
	}
}

// The statements pass every check, and call functions that write.
func TestQueryCannotWrite(t *testing.T) {
	app := newApplication(t)
	app.Exec(t, `CREATE FUNCTION forget(text) RETURNS text LANGUAGE sql VOLATILE AS
		'UPDATE users SET customer = NULL WHERE id = $1 RETURNING id'`)
	app.Exec(t, `CREATE FUNCTION free_and_forget(text) RETURNS text LANGUAGE plpgsql VOLATILE AS
		'BEGIN SET TRANSACTION READ WRITE; UPDATE users SET customer = NULL WHERE id = $1; RETURN NULL; END'`)
	app.Exec(t, `CREATE SEQUENCE numbers`)
	for _, statement := range []string{
		`SELECT $1, forget($1)`,
		`SELECT $1, free_and_forget($1)`,
		`SELECT $1, set_config('transaction_read_only', 'off', true) || forget($1)`,
		`SELECT $1, nextval('numbers')::text || $1`,
		`SELECT id, customer FROM users WHERE id = $1 FOR UPDATE`,
	} {
		q := newQuery(t, app.URL, statement)
		if err := q.Check(t.Context()); err != nil {
			t.Errorf("%q: %v", statement, err)
		}
		got, err := ask(q, "ann")
		if _, ok := errors.AsType[*clienttoken.Failure](err); !ok {
			t.Errorf("%q: the Customer is %q (error %v), want a failure", statement, got, err)
		}
	}
	wantUsers(t, app, 6)
}

func TestQueryStopsWithItsCaller(t *testing.T) {
	app := newApplication(t)
	q := newQuery(t, app.URL, `SELECT $1, pg_sleep(60)::text || $1`)
	if err := q.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := q.Customer(ctx, clienttoken.User{ID: "ann"})
	if _, failed := errors.AsType[*clienttoken.Failure](err); failed || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want context.DeadlineExceeded and no Failure", err)
	}
}

// During the outage nobody gets ErrNoCustomer. Afterwards the statement is checked.
func TestQueryStartsWithoutItsServer(t *testing.T) {
	app := newApplication(t)
	proxy, url := tcpproxy.Before(t, app.URL)
	proxy.Stop()
	q := newQuery(t, url, byID)
	if err := q.Check(t.Context()); err == nil || errors.Is(err, customer.ErrQuery) {
		t.Errorf("error %v, want one that is not ErrQuery", err)
	}
	_, err := ask(q, "ann")
	wantFailure(t, err)
	proxy.Start()
	if got, err := ask(q, "ann"); err != nil || got != customerURL(t, customerA) {
		t.Errorf("the Customer is %q (error %v), want %s", got, err, customerA)
	}
}

func TestQueryErrorsNeverShowItsURL(t *testing.T) {
	const password = "hunter2"
	for _, url := range []string{
		"postgres://user:" + password + "@127.0.0.1:1/x",
		"postgres://user:" + password + "@127.0.0.1:1,127.0.0.1:2/x?sslmode=prefer",
		"postgres://user:" + password + "@host.invalid/x",
	} {
		q := newQuery(t, url, byID)
		_, askErr := ask(q, "ann")
		for _, err := range []error{askErr, q.Check(t.Context())} {
			for ; err != nil; err = errors.Unwrap(err) {
				if said := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(said, password) {
					t.Errorf("%q: the error is %s", url, said)
				}
			}
		}
	}
}

func TestPgBouncerTakesQueries(t *testing.T) {
	t.Parallel()
	app := newApplication(t)
	app.Schema = app.BehindPgBouncer(t, 3)
	for statement, user := range map[string]string{
		byID: "ann",
		`SELECT number, customer FROM users WHERE number = $1::bigint`: "1",
		`SELECT number, customer FROM users WHERE number = $1`:         "1",
		`SELECT uid, customer FROM users WHERE uid = $1`:               "11111111-1111-4111-8111-11111111abcd",
	} {
		q := newQuery(t, app.URL, statement)
		wantError(t, q.Check(t.Context()), nil)
		asked := make(chan error, 40)
		for range cap(asked) {
			go func() {
				got, err := q.Customer(t.Context(), clienttoken.User{ID: user})
				if err == nil && got.ID() != customerA {
					err = fmt.Errorf("Customer %s", got.ID())
				}
				asked <- err
			}()
		}
		for range cap(asked) {
			if err := <-asked; err != nil {
				t.Errorf("%q: %v", statement, err)
			}
		}
	}
}
