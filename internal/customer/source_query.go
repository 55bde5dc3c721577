package customer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"dropgate/internal/clienttoken"
	"dropgate/internal/postgres"
)

// ErrQuery rejects the statement of a [Query] for good. A retry cannot help.
var ErrQuery = errors.New("the query is not usable")

// Query finds a user's Customer with one SELECT in the application's own PostgreSQL
// database.
type Query struct {
	api     clienttoken.API
	users   clienttoken.UserIDs
	pool    *postgres.Pool
	text    string // the statement as a subquery
	checked atomic.Bool
}

const (
	queryConnections = 8
	// queryTimeout limits the application's database. The server gets it too, so it
	// stops working for a caller who left.
	queryTimeout   = 5 * time.Second
	limitStatement = `SET LOCAL statement_timeout = '5s'`
)

// NewQuery returns a source that runs statement in the database at url (see
// [postgres.Open]). The statement is a SELECT with one parameter, $1, the user id. It
// returns two columns, the row's user id and the Customer:
//
//	SELECT id, dwolla_customer FROM users WHERE id = $1
//
// NewQuery does not connect; see [Query.Check]. No error contains the url or the
// password.
func NewQuery(url clienttoken.Secret, statement string, api clienttoken.API) (*Query, error) {
	pool, err := postgres.Open(url, queryConnections)
	if err != nil {
		return nil, err
	}
	// As a subquery, the statement can only be a SELECT. It returns at most two rows.
	table := " FROM (\n" + strings.TrimRight(statement, "; \t\r\n") + "\n) AS dropgate"
	return &Query{api: api, pool: pool, text: table}, nil
}

// SetMaxConnections sets the size of the pool. Call it before the first lookup.
func (q *Query) SetMaxConnections(n int) { postgres.SetMaxConnections(q.pool.DB, n) }

// SetUserIDs sets how user ids are compared. Call it before the first lookup.
func (q *Query) SetUserIDs(users clienttoken.UserIDs) { q.users = users }

// Rotate replaces the user and the password (see [postgres.Pool.Rotate]).
func (q *Query) Rotate(ctx context.Context, urls clienttoken.Secret) error {
	return q.pool.Rotate(ctx, urls)
}

// Lost returns how many connections broke (see [postgres.Pool.Lost]).
func (q *Query) Lost() uint64 { return q.pool.Lost() }

// ObservePool registers the metrics of the pool of connections.
func (q *Query) ObservePool(r prometheus.Registerer) {
	r.MustRegister(collectors.NewDBStatsCollector(q.pool.DB, "application"))
}

// Close ends all connections.
func (q *Query) Close() error {
	if err := q.pool.Close(); err != nil {
		return fmt.Errorf("closing the application's database: %w", err)
	}
	return nil
}

// Check prepares the statement without running it. It returns [ErrQuery] for an unfit
// statement. After any other error the server was unreachable, and the first lookup
// checks again.
func (q *Query) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	conn, err := q.pool.Conn(ctx)
	if err != nil {
		return q.fault(ctx, "connecting", err)
	}
	defer func() { _ = conn.Close() }()
	err = conn.Raw(func(driver any) error {
		prepared, ok := driver.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("a connection of type %T", driver)
		}
		found, err := prepared.Conn().Prepare(ctx, "", "SELECT *"+q.text)
		if err != nil {
			return err //nolint:wrapcheck // below
		}
		if len(found.ParamOIDs) != 1 {
			return fmt.Errorf("%w: it has %d parameters, want one: $1, the user id", ErrQuery, len(found.ParamOIDs))
		}
		if len(found.Fields) != 2 {
			return fmt.Errorf("%w: it returns %d columns, want two, the row's user id and the Customer:"+
				" SELECT id, dwolla_customer FROM users WHERE id = $1", ErrQuery, len(found.Fields))
		}
		return nil
	})
	if err != nil {
		return q.fault(ctx, "preparing the query", err)
	}
	q.checked.Store(true)
	return nil
}

func (q *Query) fault(ctx context.Context, doing string, err error) error {
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	err = fmt.Errorf("%s: %w", doing, postgres.WithoutSettings(err))
	if postgres.Permanent(err) {
		return fmt.Errorf("%w: %w", ErrQuery, err)
	}
	return err
}

// Customer implements [Source]. No row, NULL and "" are clienttoken.ErrNoCustomer.
// Several rows, and a value that names no Customer of the API, are a
// *clienttoken.Failure.
//
// So is a row with another user id: a collation, a type or a function in the statement
// may treat two users as equal.
func (q *Query) Customer(ctx context.Context, user clienttoken.User) (clienttoken.CustomerURL, error) {
	if !q.checked.Load() {
		if err := q.Check(ctx); err != nil {
			return clienttoken.CustomerURL{}, queryFailure(ctx, err)
		}
	}
	values, err := q.ask(ctx, user.ID)
	if err != nil {
		return clienttoken.CustomerURL{}, queryFailure(ctx, err)
	}
	if len(values) == 0 {
		return clienttoken.CustomerURL{}, clienttoken.ErrNoCustomer
	}
	if len(values) > 1 {
		return clienttoken.CustomerURL{}, misconfigured(errors.New("the query finds more than one row for the user"))
	}
	value := values[0]
	if !value.user.Valid || q.users.Canonical(value.user.String) != q.users.Canonical(user.ID) {
		return clienttoken.CustomerURL{}, misconfigured(fmt.Errorf("the query's row for user %.100q has the user id %.100q", user.ID, value.user.String))
	}
	if value.customer.String == "" { // or NULL
		return clienttoken.CustomerURL{}, clienttoken.ErrNoCustomer
	}
	customer, err := clienttoken.ParseCustomer(q.api, value.customer.String)
	if err != nil {
		return clienttoken.CustomerURL{}, misconfigured(fmt.Errorf("the query's answer: %w", err))
	}
	return customer, nil
}

// answer is a row the statement found.
type answer struct {
	user, customer sql.NullString
}

// ask returns at most two rows for a user.
func (q *Query) ask(ctx context.Context, userID string) ([]answer, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	// Read-only, so functions in the statement cannot write either.
	tx, err := q.pool.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, q.fault(ctx, "beginning to read", err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, limitStatement); err != nil {
		return nil, q.fault(ctx, "setting a timeout", err)
	}
	// As text, with new column names: the statement's names may repeat.
	rows, err := tx.QueryContext(ctx, "SELECT CAST(u AS text), CAST(c AS text)"+q.text+"(u, c) LIMIT 2", userID) //nolint:gosec // the operator's own
	if err != nil {
		return nil, q.fault(ctx, "asking", err)
	}
	defer func() { _ = rows.Close() }() // its error is in rows.Err
	var answers []answer
	for rows.Next() {
		var a answer
		if err := rows.Scan(&a.user, &a.customer); err != nil {
			return nil, q.fault(ctx, "reading the answer", err)
		}
		answers = append(answers, a)
	}
	if err := rows.Err(); err != nil {
		return nil, q.fault(ctx, "reading the answer", err)
	}
	return answers, nil
}

// queryFailure is storeFault, except for faults that need an operator: an unfit
// statement, and a user id the statement cannot take.
func queryFailure(ctx context.Context, err error) error {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	if errors.Is(err, ErrQuery) || ok && strings.HasPrefix(refused.Code, "22") {
		return misconfigured(err)
	}
	return storeFault(ctx, err)
}
