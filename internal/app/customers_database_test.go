package app_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dropgate/internal/app"
)

// TestOnlyAddingLinksCreatesAFile: a mistyped name must not become an empty
// directory in a backup.
func TestOnlyAddingLinksCreatesAFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "links.db")
	d := newTools(t, "sqlite:"+name)
	for _, line := range []string{"export", "show ann", "unlink ann"} {
		got := d.run(strings.Fields(line)...)
		if !errors.Is(got.fault, os.ErrNotExist) || !strings.HasPrefix(got.fault.Error(), "DATABASE_URL: ") || got.out != "" {
			t.Errorf("%s: %+v", line, got)
		}
	}
	if _, err := os.Stat(name); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file: %v", err)
	}
	d.good("link", "ann", alicesCustomer)
	d.holds("ann," + alicesCustomer)
}

// TestProgressOnlyOnATerminal: in a file, \r would be noise.
func TestProgressOnlyOnATerminal(t *testing.T) {
	d := newTools(t, "sqlite:"+filepath.Join(t.TempDir(), "links.db"))
	log, err := os.Create(filepath.Join(t.TempDir(), "import.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	for name, to := range map[string]io.Writer{"a buffer": &bytes.Buffer{}, "a file": log} {
		std := app.Streams{In: strings.NewReader(many(4500) + "bad\n"), Err: to}
		if err := app.Customers(t.Context(), []string{"import", "-"}, d.environ, std); err == nil {
			t.Errorf("%s: no error for a bad line", name)
		}
		text := fmt.Sprint(to)
		if to == log {
			written, err := os.ReadFile(log.Name())
			if err != nil {
				t.Fatal(err)
			}
			text = string(written)
		}
		if strings.ContainsAny(text, "\r\x1b") || strings.Count(text, "\n") != 2 {
			t.Errorf("%s: %q", name, text)
		}
	}
}

func TestCustomersCommandNamesDatabaseFaultsWithoutPassword(t *testing.T) {
	for name, at := range map[string]string{
		"unreachable":  "postgres://dropgate:hunter2@" + unusedAddr(t) + "/dropgate?sslmode=disable",
		"no such file": "postgres://dropgate:hunter2@" + unusedAddr(t) + "/dropgate?sslrootcert=/no/such/hunter1",
		"not one":      "mysql://dropgate:hunter2@db/dropgate",
	} {
		got := newTools(t, at).run("show", "ann")
		if got.fault == nil || !strings.Contains(got.fault.Error(), "DATABASE_URL: ") || strings.Contains(got.fault.Error()+got.out+got.err, "hunter2") {
			t.Errorf("%s: %+v", name, got)
		}
	}
	settings := good()
	maps.Copy(settings, map[string]string{"CUSTOMER_SOURCE": "lookup"})
	if err := app.Customers(t.Context(), []string{"export"}, environ(settings), app.Streams{}); err == nil || !strings.Contains(err.Error(), "CUSTOMER_SOURCE: is not database") {
		t.Errorf("another source: %v", err)
	}
}

func TestReadableSQLiteFileIsAWarning(t *testing.T) {
	for mode, warned := range map[os.FileMode]bool{0o600: false, 0o640: true, 0o604: true, 0o620: true} {
		path := filepath.Join(t.TempDir(), "links.db")
		newTools(t, "sqlite:"+path).good("link", "carol", alicesCustomer)
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		s := newFixture(t).start(t, map[string]string{"CUSTOMER_SOURCE": "database", "DATABASE_URL": "sqlite:" + path, "LOG_LEVEL": "warn"})
		if got := s.vend(t, "carol", readCustomer); got.status != 200 { // it is no fault
			t.Errorf("%o: %d %s", mode, got.status, got.body)
		}
		if warned {
			until(t, "the warning", func() bool { return strings.Contains(s.logs.String(), "chmod 600 "+path) })
		} else if strings.Contains(s.logs.String(), "chmod") {
			t.Errorf("%o: %s", mode, s.logs.String())
		}
	}
}
