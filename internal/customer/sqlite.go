package customer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"dropgate/internal/clienttoken"
)

// Database is a [Store] in one file. Several processes of one machine may share
// the file; replicas on several machines may not.
type Database struct {
	// SQLite has one writer at a time. Writers queue for the one connection,
	// where the end of a context ends the wait, and never hold up a reader.
	reads, writes *sql.DB
	customer      *sql.Stmt // on reads
}

// busyTimeout is how long a writer waits for another process's write.
const busyTimeout = 5 * time.Second

// OpenSQLite opens the database at path. Where there is none it makes one that
// only the service's own user may read; the folder has to be there. The schema
// is brought up to date, and one that is newer than this binary is an error. A
// file that is not a database is an error too, and is left as it is.
//
// Path is the plain name of a file: no URI, no options, no ":memory:".
func OpenSQLite(ctx context.Context, path string) (*Database, error) {
	s, err := openSQLite(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("opening SQLite database %q: %w", path, err)
	}
	return s, nil
}

func openSQLite(ctx context.Context, path string) (*Database, error) {
	path, err := makeFile(path)
	if err != nil {
		return nil, err
	}
	s := &Database{}
	defer func() {
		if s.customer == nil {
			_ = s.Close() // what went wrong before is the news
		}
	}()
	// FULL is what makes a link that was acknowledged survive a power cut;
	// links are made too rarely for its price to matter.
	s.writes, err = openPool(path, 1, "_txlock=immediate&_pragma=journal_mode(wal)&_pragma=synchronous(full)")
	if err != nil {
		return nil, err
	}
	if err := s.awaitWritable(ctx); err != nil {
		return nil, err
	}
	if err := migrate(ctx, goose.DialectSQLite3, s.writes); err != nil {
		return nil, err
	}
	s.reads, err = openPool(path, max(4, runtime.GOMAXPROCS(0)), "_query_only=true")
	if err != nil {
		return nil, err
	}
	s.customer, err = s.reads.PrepareContext(ctx, `SELECT customer_id FROM dropgate_links WHERE user_id = $1`)
	if err != nil {
		return nil, fmt.Errorf("preparing to read links: %w", err)
	}
	return s, nil
}

// makeFile makes an empty database for the service's own user alone where path
// names nothing, and returns the absolute path.
func makeFile(path string) (string, error) {
	if path == "" || path == ":memory:" || strings.HasPrefix(path, "file:") {
		return "", errors.New("want the plain name of a file")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("finding the current folder: %w", err)
	}
	// SQLite would make the file too, but readable by everybody. A file that
	// exists must not even be opened: closing it would drop the locks that
	// another connection of this process has on it.
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600) //nolint:gosec // the operator names the file
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("there is no folder %q", filepath.Dir(path))
	case errors.Is(err, fs.ErrExist):
		return path, checkFile(path)
	case err != nil:
		return "", fmt.Errorf("making the file: %w", err)
	}
	if err := file.Close(); err != nil {
		return "", fmt.Errorf("making the file: %w", err)
	}
	return path, nil
}

func checkFile(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("looking at the file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is not a regular file")
	}
	return nil
}

// openPool opens up to n connections to the file. They stay open, since a
// connection costs far more than a query.
func openPool(path string, n int, options string) (*sql.DB, error) {
	// As a file: URI the path may hold every character, '?' and '%' included.
	options = fmt.Sprintf("_busy_timeout=%d&_error_rc=true&%s", busyTimeout.Milliseconds(), options)
	dsn := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: options}
	connector, err := sqlite.NewConnector(dsn.String())
	if err != nil {
		return nil, fmt.Errorf("naming the database: %w", err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	return db, nil
}

// awaitWritable returns nil once the file is known to be a database that can
// be written. Of two processes that open a new file at once, SQLite gives one
// SQLITE_BUSY without the wait of _busy_timeout, so that is waited for here.
func (s *Database) awaitWritable(ctx context.Context) error {
	patience := time.After(busyTimeout)
	for {
		tx, err := s.writes.BeginTx(ctx, nil)
		if err == nil {
			err = tx.Rollback()
		}
		if err == nil {
			return nil
		}
		fault := queryFault(ctx, "locking it", err)
		if busy, ok := errors.AsType[*sqlite.Error](err); !ok || busy.Code()&0xff != sqlite3.SQLITE_BUSY {
			return fault
		}
		select {
		case <-ctx.Done():
			return fault
		case <-patience:
			return fault
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Close ends all connections. Calls that are under way may fail.
func (s *Database) Close() error {
	var errs []error
	for _, db := range []*sql.DB{s.reads, s.writes} { // the last one to go tidies up
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// Ping reports whether links can be read now.
func (s *Database) Ping(ctx context.Context) error {
	if _, err := s.Customer(ctx, ""); err != nil && !errors.Is(err, clienttoken.ErrNoCustomer) {
		return err
	}
	return nil
}

// Customer implements [Store].
func (s *Database) Customer(ctx context.Context, userID string) (string, error) {
	var customerID string
	err := s.customer.QueryRowContext(ctx, userID).Scan(&customerID)
	switch {
	case err == nil:
		return customerID, nil
	case errors.Is(err, sql.ErrNoRows):
		return "", clienttoken.ErrNoCustomer
	default:
		return "", queryFault(ctx, "reading a link", err)
	}
}

// Link implements [Store].
func (s *Database) Link(ctx context.Context, userID, customerID string) error {
	customerID = strings.ToLower(customerID)
	tx, err := s.writes.BeginTx(ctx, nil)
	if err != nil {
		return queryFault(ctx, "beginning a link", err)
	}
	defer func() { _ = tx.Rollback() }() // does nothing after Commit
	_, err = tx.ExecContext(ctx,
		`INSERT INTO dropgate_links (user_id, customer_id, linked_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
		userID, customerID, time.Now().UnixMilli())
	if err != nil {
		return queryFault(ctx, "writing a link", err)
	}
	// Reading back tells who was in the way, in every database's own SQL; error
	// codes and constraint names would not.
	var own string
	err = tx.QueryRowContext(ctx, `SELECT customer_id FROM dropgate_links WHERE user_id = $1`, userID).Scan(&own)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return ErrCustomerLinked
	case err != nil:
		return queryFault(ctx, "reading a link back", err)
	case own != customerID:
		return ErrUserLinked
	}
	if err := tx.Commit(); err != nil {
		return queryFault(ctx, "committing a link", err)
	}
	return nil
}

// Unlink implements [Store].
func (s *Database) Unlink(ctx context.Context, userID string) error {
	if _, err := s.writes.ExecContext(ctx, `DELETE FROM dropgate_links WHERE user_id = $1`, userID); err != nil {
		return queryFault(ctx, "removing a link", err)
	}
	return nil
}

// queryFault wraps the error of a query. When ctx has ended that is the
// reason, in whatever words the driver puts it.
func queryFault(ctx context.Context, doing string, err error) error {
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return fmt.Errorf("%s: %w", doing, err)
}
