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

	"dropgate/internal/clienttoken"
	"dropgate/internal/postgres"
)

// ErrQuery says that a statement cannot be the one of a [Query]: trying again
// will not help.
var ErrQuery = errors.New("the query does not fit")

// Query is the source of an application that has its users' Customers in a
// PostgreSQL database of its own: one SELECT finds them there.
type Query struct {
	api     clienttoken.API
	users   clienttoken.UserIDs
	pool    *sql.DB
	text    string // the statement, as a table
	checked atomic.Bool
}

const (
	queryConnections = 8
	// queryTimeout is within which the application's database has to answer. The
	// server is told, too, so that it does not work on for nobody.
	queryTimeout   = 5 * time.Second
	limitStatement = `SET LOCAL statement_timeout = '5s'`
)

// NewQuery returns a source that asks the database at url (see [postgres.Open])
// by statement, a SELECT of two columns whose one parameter, $1, is the user's id:
// the user's id as the row has it, and the Customer:
//
//	SELECT id, dwolla_customer FROM users WHERE id = $1
//
// It does not connect; see [Query.Check]. No error of the Query holds the url
// or the password.
func NewQuery(url clienttoken.Secret, statement string, api clienttoken.API) (*Query, error) {
	pool, err := postgres.Open(url, queryConnections)
	if err != nil {
		return nil, err
	}
	// As a table in a SELECT of ours the statement can be no other than a
	// SELECT, and gives us two rows at most, however many it finds.
	table := " FROM (\n" + strings.TrimRight(statement, "; \t\r\n") + "\n) AS dropgate"
	return &Query{api: api, pool: pool, text: table}, nil
}

// SetUserIDs sets how user ids are compared. Call it before the first question.
func (q *Query) SetUserIDs(users clienttoken.UserIDs) { q.users = users }

// Close ends all connections.
func (q *Query) Close() error {
	if err := q.pool.Close(); err != nil {
		return fmt.Errorf("closing the application's database: %w", err)
	}
	return nil
}

// Check lets the server prepare the statement, without executing it. It returns
// [ErrQuery] when the statement does not fit, and another error when the server
// could not be asked; then the first user's question checks it.
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
			return fmt.Errorf("%w: it has %d parameters, want one, $1, the user's id", ErrQuery, len(found.ParamOIDs))
		}
		if len(found.Fields) != 2 {
			return fmt.Errorf("%w: it returns %d columns, want two, the user's id as the row has it and the Customer:"+
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

// Customer implements [Source]. No row, NULL and "" are
// clienttoken.ErrNoCustomer; more than one row, and a value that is no id or
// URL of a Customer of the API, are a *clienttoken.Failure.
//
// So is a row of another user id, byte by byte: a collation, a type or a function
// in the statement may take two users for one.
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

// answer is a row that the statement found.
type answer struct {
	user, customer sql.NullString
}

// ask returns the rows for a user, two at most.
func (q *Query) ask(ctx context.Context, userID string) ([]answer, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	// Functions that the statement calls cannot write either.
	tx, err := q.pool.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, q.fault(ctx, "beginning to read", err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, limitStatement); err != nil {
		return nil, q.fault(ctx, "setting a timeout", err)
	}
	// As text, and by other names: the statement's may be the same twice.
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

// queryFailure is storeFault, but for what will not pass by itself: a statement
// that does not fit, and a user id that it cannot take.
func queryFailure(ctx context.Context, err error) error {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	if errors.Is(err, ErrQuery) || ok && strings.HasPrefix(refused.Code, "22") {
		return misconfigured(err)
	}
	return storeFault(ctx, err)
}
