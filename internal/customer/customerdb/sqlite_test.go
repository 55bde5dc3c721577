package customerdb_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dropgate/internal/customer/customerdb"
)

func TestSQLitePassesTheDatabaseSuite(t *testing.T) {
	t.Parallel()
	testDatabase(t, newSQLite)
}

// wantFiles checks the names of the files in dir.
func wantFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, file := range files {
		got = append(got, file.Name())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestSQLiteFilesAreForTheOwnerOnly(t *testing.T) {
	dir := t.TempDir()
	link(t, openSQLite(t, filepath.Join(dir, "links.db")), "ann", customerA)
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 2 {
		t.Errorf("%d files; the write-ahead log was to be checked too", len(files))
	}
	for _, file := range files {
		info, err := file.Info()
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode(); mode != 0o600 {
			t.Errorf("%s has mode %v, want 0600", file.Name(), mode)
		}
	}
}

func TestSQLiteLeavesOneFileWhenClosed(t *testing.T) {
	dir := t.TempDir()
	store, err := customerdb.OpenSQLite(t.Context(), filepath.Join(dir, "links.db"))
	if err != nil {
		t.Fatal(err)
	}
	link(t, store, "ann", customerA)
	for range 2 {
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
	wantFiles(t, dir, "links.db")
	if err := store.Ping(t.Context()); err == nil {
		t.Error("a closed store answers Ping")
	}
}

func TestSQLiteAcceptsOddPaths(t *testing.T) {
	for _, name := range []string{
		"a b.db", "a?mode=ro", "a?_pragma=query_only(1)", "a#b", "a%20b", "a%", "%00", "a&b=c", "a;b", "a:b", "é🦆.db", `a\b`, `'a"b`, "...db", "-",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, name)
			link(t, openSQLite(t, path), "ann", customerA)
			wantCustomer(t, openSQLite(t, path), "ann", customerA)
			files, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range files {
				if !strings.HasPrefix(file.Name(), name) {
					t.Errorf("there is a file %q", file.Name())
				}
			}
		})
	}
}

func TestSQLiteAcceptsRelativePaths(t *testing.T) {
	t.Chdir(t.TempDir())
	link(t, openSQLite(t, "links.db"), "ann", customerA)
	if _, err := os.Stat("links.db"); err != nil {
		t.Error(err)
	}
	wantCustomer(t, openSQLite(t, "//"+filepath.Join(t.TempDir(), "other.db")), "ann", "")
}

func TestSQLiteRefusesOtherThanPlainFiles(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for path, want := range map[string]string{
		"":                            "plain file name",
		":memory:":                    "plain file name",
		"file:links.db?mode=memory":   "plain file name",
		dir:                           "not a regular file",
		filepath.Join(dir, "no", "x"): `no folder "` + filepath.Join(dir, "no") + `"`,
		"a\x00b":                      "invalid argument",
	} {
		_, err := customerdb.OpenSQLite(t.Context(), path)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("path %q: error %v, want one with %q", path, err, want)
		}
	}
	wantFiles(t, dir)
}

func TestSQLiteLeavesAForeignFileUntouched(t *testing.T) {
	for name, content := range map[string]string{
		"short": "hello",
		"long":  strings.Repeat("user,customer\n", 1000),
		"zeros": strings.Repeat("\x00", 8192),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "links.db")
			if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := customerdb.OpenSQLite(t.Context(), path)
			if err == nil || !strings.Contains(err.Error(), "not a database") {
				t.Errorf("error %v, want one that says that this is not a database", err)
			}
			if after, err := os.ReadFile(path); err != nil || string(after) != content {
				t.Errorf("the file was changed (error %v)", err)
			}
			wantFiles(t, dir, "links.db")
		})
	}
}

func TestSQLiteRefusesANewerSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "links.db")
	link(t, openSQLite(t, path), "ann", customerA)
	db := raw(t, path)
	exec1(t, db, `INSERT INTO dropgate_schema_version (version_id, is_applied) VALUES (999, 1)`)
	_, err := customerdb.OpenSQLite(t.Context(), path)
	if err == nil || !strings.Contains(err.Error(), "version 999") || !strings.Contains(err.Error(), "newer binary") {
		t.Fatalf("error %v, want one that says that the schema is newer", err)
	}
	exec1(t, db, `DELETE FROM dropgate_schema_version WHERE version_id = 999`)
	wantCustomer(t, openSQLite(t, path), "ann", customerA)
}

// A failed migration is reported, not retried for ever.
func TestSQLiteReportsAFailedMigration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "links.db")
	exec1(t, raw(t, path), `CREATE TABLE dropgate_links (something TEXT)`)
	_, err := customerdb.OpenSQLite(t.Context(), path)
	if err == nil || !strings.Contains(err.Error(), "migrating the schema") {
		t.Fatalf("error %v, want one about the migration", err)
	}
}

// Two processes that start at once apply a migration once.
func TestSQLiteCountsEachMigrationOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "links.db")
	openSQLite(t, path)
	_, err := raw(t, path).ExecContext(t.Context(),
		`INSERT INTO dropgate_schema_version (version_id, is_applied) VALUES (1, 1)`)
	if err == nil {
		t.Error("version 1 is there twice")
	}
}

// The application may keep its own tables in the file, and use goose.
func TestSQLiteSharesTheFileWithTheApplication(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.db")
	db := raw(t, path)
	exec1(t, db, `CREATE TABLE goose_db_version (id INTEGER PRIMARY KEY, version_id INTEGER, is_applied INTEGER, tstamp TIMESTAMP)`)
	exec1(t, db, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, 1), (42, 1)`)
	exec1(t, db, `CREATE TABLE customers (id TEXT)`)
	link(t, openSQLite(t, path), "ann", customerA)
}

// Readers do not wait for another process's write.
func TestSQLiteReadsDuringWrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "links.db")
	store := openSQLite(t, path)
	link(t, store, "ann", customerA)
	conn, err := raw(t, path).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.ExecContext(t.Context(), `BEGIN IMMEDIATE`); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(t.Context(), `DELETE FROM dropgate_links`); err != nil {
		t.Fatal(err)
	}
	wantCustomer(t, store, "ann", customerA)
	if err := store.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestSQLiteOpensTwiceAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "links.db")
	var stores sync.WaitGroup
	for i := range 8 {
		stores.Go(func() {
			store, err := customerdb.OpenSQLite(t.Context(), path)
			if err != nil {
				t.Error(err)
				return
			}
			if err := store.Link(t.Context(), fmt.Sprint("user ", i), customerNumber(i)); err != nil {
				t.Error(err)
			}
			if err := store.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	stores.Wait()
	s := openSQLite(t, path)
	for i := range 8 {
		wantCustomer(t, s, fmt.Sprint("user ", i), customerNumber(i))
	}
}

func TestSQLitePrintsNothing(t *testing.T) {
	dir := t.TempDir()
	real := os.Stdout
	file, err := os.Create(filepath.Join(dir, "stdout"))
	if err != nil {
		t.Fatal(err)
	}
	os.Stdout = file
	store, openErr := customerdb.OpenSQLite(t.Context(), filepath.Join(dir, "links.db"))
	os.Stdout = real
	if openErr != nil {
		t.Fatal(openErr)
	}
	if err := errors.Join(store.Close(), file.Close()); err != nil {
		t.Fatal(err)
	}
	if out, err := os.ReadFile(file.Name()); err != nil || len(out) != 0 {
		t.Errorf("standard output holds %q (error %v)", out, err)
	}
}

// SQLite would follow the link and create a file readable by everyone.
func TestSQLiteReportsADanglingSymbolicLink(t *testing.T) {
	path := filepath.Join(t.TempDir(), "links.db")
	if err := os.Symlink(path+".gone", path); err != nil {
		t.Fatal(err)
	}
	if _, err := customerdb.OpenSQLite(t.Context(), path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v, want fs.ErrNotExist", err)
	}
}
