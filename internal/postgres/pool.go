package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"dropgate/internal/clienttoken"
	"dropgate/internal/rotation"
)

// Pool is a pool of connections, whose user and password can change.
type Pool struct {
	*sql.DB

	connector *connector
}

// Open returns a pool of at most that many connections to the database at url, such
// as postgres://user:password@host:5432/database?sslmode=verify-full. There may be
// several, one per line, that differ in the user and the password (see
// [rotation.Secret]). Open does not connect. No error contains the url or the
// password.
func Open(urls clienttoken.Secret, connections int) (*Pool, error) {
	c := &connector{urls: rotation.New(urls)}
	if err := c.parse(urls); err != nil {
		return nil, err
	}
	pool := sql.OpenDB(c)
	SetMaxConnections(pool, connections)
	pool.SetConnMaxLifetime(lifetime)
	pool.SetConnMaxIdleTime(idleTime)
	return &Pool{DB: pool, connector: c}, nil
}

// Rotate replaces the user and the password. It connects with the new ones. Once that
// works, each older connection ends before its next use, and a new one takes its place.
// An error means that the old user and password still work, if they did before.
func (p *Pool) Rotate(ctx context.Context, urls clienttoken.Secret) error {
	if len(rotation.Values(urls)) == 0 || !SameDatabase(rotation.Values(urls)[0], p.connector.urls.Values()[0]) {
		return errors.New("only the user and the password can change without a restart")
	}
	if err := p.connector.parse(urls); err != nil {
		return err
	}
	p.connector.urls.Set(urls)
	conn, err := p.connector.Connect(ctx)
	if err != nil {
		return fmt.Errorf("connecting with the new user and password: %w", WithoutSettings(err))
	}
	_ = conn.Close() // it was only a trial
	if !p.connector.urls.Confirmed() {
		return errors.New("the server refuses the new user and password")
	}
	return nil
}

// SameDatabase reports whether two URLs differ at most in the user and the password.
func SameDatabase(a, b clienttoken.Secret) bool {
	one, err := withoutUser(a)
	other, err2 := withoutUser(b)
	return err == nil && err2 == nil && one == other
}

func withoutUser(secret clienttoken.Secret) (string, error) {
	u, err := url.Parse(secret.Reveal())
	if err != nil {
		return "", errURL
	}
	u.User = nil
	query := u.Query()
	query.Del("user")
	query.Del("password")
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// connector opens connections with the URL that the server accepts.
type connector struct {
	urls     *rotation.Secret
	follower follower
	lost     atomic.Uint64 // connections that broke

	mu       sync.Mutex
	parsed   []candidate
	accepted string // the URL of the last connection
}

// candidate is a parsed URL.
type candidate struct {
	url string
	driver.Connector
}

// parse prepares URLs, and keeps the earlier one that the server accepted.
func (c *connector) parse(urls clienttoken.Secret) error {
	var parsed []candidate
	for _, value := range rotation.Values(urls) {
		config, err := parseURL(value.Reveal())
		if err != nil {
			return err
		}
		own := value.Reveal()
		config.DialFunc = counting(config.DialFunc, &c.lost)
		parsed = append(parsed, candidate{own, c.follower.connector(*config, func() error { return c.outdated(own) })})
	}
	if len(parsed) == 0 {
		return errURL
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.IndexFunc(c.parsed, func(earlier candidate) bool { return earlier.url == c.accepted }); i >= 0 {
		parsed = append(parsed, c.parsed[i]) // the first of two equal ones counts
	}
	c.parsed = parsed
	return nil
}

// outdated makes database/sql replace a connection whose URL is no longer the
// accepted one. It does so between two uses, so no caller notices.
func (c *connector) outdated(url string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if url == c.accepted {
		return nil
	}
	return driver.ErrBadConn
}

// Connect implements driver.Connector. While the server refuses a user or a password,
// it tries the next URL.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	var refused error
	for _, url := range c.urls.Candidates() {
		conn, err := c.of(url.Reveal()).Connect(ctx)
		switch {
		case err == nil:
			c.accept(url)
			return conn, nil
		case !refusesUser(err):
			return nil, err //nolint:wrapcheck // callers look at its type
		case refused == nil:
			refused = err
		}
	}
	return nil, refused
}

func (c *connector) of(url string) driver.Connector {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.parsed, func(known candidate) bool { return known.url == url })
	return c.parsed[max(i, 0)]
}

func (c *connector) accept(url clienttoken.Secret) {
	c.mu.Lock()
	c.accepted = url.Reveal()
	c.mu.Unlock()
	c.urls.Accepted(url)
}

// Driver implements driver.Connector.
func (*connector) Driver() driver.Driver { return stdlib.GetDefaultDriver() }

// refusesUser reports whether the server does not accept the user or the password
// (class 28 of SQLSTATE). PgBouncer answers 08P01 for that, and for other faults.
func refusesUser(err error) bool {
	answer, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (answer.Code[:min(2, len(answer.Code))] == "28" || answer.Code == "08P01")
}
