package app_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"
)

func TestReadinessNamesSQLiteRefusals(t *testing.T) {
	for name, refusing := range map[string]func(t *testing.T, file string) refusal{
		"a full disk": func(_ *testing.T, file string) refusal {
			filler := filepath.Join(filepath.Dir(file), "filler")
			return refusal{
				func(t *testing.T) { t.Helper(); fill(t, filler) },
				func(*testing.T) { _ = os.Remove(filler) }, "sqlite: disk full",
			}
		},
		"a file that is gone": func(_ *testing.T, file string) refusal {
			return refusal{
				func(*testing.T) { _ = os.Rename(file, file+".old") },
				func(*testing.T) { _ = os.Rename(file+".old", file) }, "sqlite: file removed or replaced",
			}
		},
		"another process that keeps it locked": func(t *testing.T, file string) refusal {
			t.Helper()
			db, err := sql.Open("sqlite", file)
			if err != nil {
				t.Fatal(err)
			}
			conn, err := db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close(); _ = db.Close() })
			do := func(statement string) func(*testing.T) {
				return func(t *testing.T) {
					t.Helper()
					if _, err := conn.ExecContext(t.Context(), statement); err != nil {
						t.Fatal(err)
					}
				}
			}
			return refusal{do(`BEGIN IMMEDIATE`), do(`ROLLBACK`), "sqlite: busy"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(smallDisk(t, "4m"), "links.db")
			s := newFixture(t).start(t, map[string]string{"CUSTOMER_SOURCE": "database", "DATABASE_URL": "sqlite:" + file})
			refusing(t, file).holds(t, s, "database")
			s.stop()
			if err := <-s.done; err != nil { // and then the disk may go
				t.Error(err)
			}
		})
	}
}
