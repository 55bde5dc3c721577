package customerdb

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
)

// busyTimeout is how long a writer waits for another process's write.
const busyTimeout = 5 * time.Second

// OpenSQLite opens the database at path. Where there is none it makes one that
// only the service's own user may read; the folder has to be there. The schema
// is brought up to date, and one that is newer than this binary is an error. A
// file that is not a database is an error too, and is left as it is.
//
// Several processes of one machine may share the file; replicas on several
// machines may not. Path is its plain name: no URI, no options, no ":memory:".
func OpenSQLite(ctx context.Context, path string) (*Database, error) {
	d, err := openSQLite(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("opening SQLite database %q: %w", path, err)
	}
	return d, nil
}

func openSQLite(ctx context.Context, path string) (*Database, error) {
	path, err := makeFile(path)
	if err != nil {
		return nil, err
	}
	file, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("looking at the file: %w", err)
	}
	d := &Database{dialect: goose.DialectSQLite3, path: path, file: file}
	defer func() {
		if d.reads == nil {
			_ = d.Close() // what went wrong before is the news
		}
	}()
	// FULL is what makes a link that was acknowledged survive a power cut;
	// links are made too rarely for its price to matter.
	d.writes, err = openPool(path, 1, "_txlock=immediate&_pragma=journal_mode(wal)&_pragma=synchronous(full)")
	if err != nil {
		return nil, err
	}
	if err := d.awaitWritable(ctx); err != nil {
		return nil, err
	}
	if err := d.Migrate(ctx); err != nil {
		return nil, err
	}
	d.reads, err = openPool(path, max(4, runtime.GOMAXPROCS(0)), "_query_only=true")
	return d, err
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

// FilesOpenToOthers returns those of a SQLite database's files that other users of the
// machine may read or write: path itself, and the log and the index beside it.
func FilesOpenToOthers(path string) []string {
	const others = 0o077
	var files []string
	for _, file := range []string{path, path + "-wal", path + "-shm"} {
		if info, err := os.Stat(file); err == nil && info.Mode().Perm()&others != 0 {
			files = append(files, file)
		}
	}
	return files
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
func (d *Database) awaitWritable(ctx context.Context) error {
	patience := time.After(busyTimeout)
	for {
		tx, err := d.writes.BeginTx(ctx, nil)
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
