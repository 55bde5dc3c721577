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
	"syscall"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// busyTimeout is how long a writer waits for another process.
const busyTimeout = 5 * time.Second

// OpenSQLite opens the database at path and migrates it. If needed, it creates a file
// in an existing folder, readable by the service's user alone. A newer schema is an
// error, and so is a file of another kind, which stays untouched.
//
// Processes on one machine may share the file, replicas on several machines may not.
// Path is a plain name: no URI, no options, no ":memory:".
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
		return nil, fmt.Errorf("checking the file: %w", err)
	}
	d := &Database{dialect: goose.DialectSQLite3, path: path, file: file}
	defer func() {
		if d.reads == nil {
			_ = d.Close() // the earlier error matters
		}
	}()
	// FULL: an acknowledged link survives a power cut. Links are too rare for its cost
	// to matter.
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

// makeFile returns the absolute path. If there is no file, it creates an empty one,
// readable by the service's user alone.
func makeFile(path string) (string, error) {
	if path == "" || path == ":memory:" || strings.HasPrefix(path, "file:") {
		return "", errors.New("want a plain file name")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("finding the current folder: %w", err)
	}
	// SQLite itself would make the file readable by everyone. Do not open an existing
	// file: closing it would drop the locks of this process's other connections.
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600) //nolint:gosec // the operator names the file
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("there is no folder %q: create it, or mount a volume there", filepath.Dir(path))
	case errors.Is(err, fs.ErrPermission):
		return "", notWritable("folder", filepath.Dir(path), err)
	case errors.Is(err, syscall.EROFS):
		return "", fmt.Errorf("the folder %q is on a read-only file system: mount a volume there: %w", filepath.Dir(path), err)
	case errors.Is(err, fs.ErrExist):
		return path, checkFile(path)
	case err != nil:
		return "", fmt.Errorf("creating the file: %w", err)
	}
	if err := file.Close(); err != nil {
		return "", fmt.Errorf("creating the file: %w", err)
	}
	return path, nil
}

func checkFile(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("checking the file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is not a regular file")
	}
	// SQLite writes beside the file, too.
	if err := syscall.Access(path, mayWrite); err != nil {
		return notWritable("file", path, err)
	}
	if folder := filepath.Dir(path); syscall.Access(folder, mayWrite) != nil {
		return notWritable("folder", folder, fs.ErrPermission)
	}
	return nil
}

// mayWrite is W_OK of access(2).
const mayWrite = 2

// notWritable names the user, since a container's user is easy to get wrong.
func notWritable(what, path string, err error) error {
	return fmt.Errorf("user %d of group %d cannot write to the %s %q: make it writable for this user, or run the service as its owner: %w",
		os.Getuid(), os.Getgid(), what, path, err)
}

// FilesOpenToOthers returns the files of a SQLite database that other users of the
// machine may read or write.
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

// openPool opens at most n connections and keeps them: opening costs far more than a
// query.
func openPool(path string, n int, options string) (*sql.DB, error) {
	// In a file: URI the path may contain any character, even '?' and '%'.
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

// awaitWritable returns nil once the file is a writable database. When two processes
// open a new file, SQLite ignores _busy_timeout for one of them, so awaitWritable
// retries.
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
		fault := queryFault(ctx, "locking the file", err)
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
