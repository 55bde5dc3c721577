package linewriter_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"dropgate/internal/linewriter"
)

// opened returns a file in its own folder.
func opened(t *testing.T) (file *linewriter.File, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "audit.log")
	file, err := linewriter.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return file, path
}

func write(t *testing.T, file *linewriter.File, text string) {
	t.Helper()
	if n, err := file.Write([]byte(text)); n != len(text) || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
}

func holds(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if string(got) != want || err != nil {
		t.Errorf("%s holds %q, want %q, error %v", filepath.Base(path), got, want, err)
	}
}

func TestAFileIsAppendedToAndPrivate(t *testing.T) {
	file, path := opened(t)
	write(t, file, "a\n")
	again, err := linewriter.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, again, "b\n")
	holds(t, path, "a\nb\n")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, error %v", info.Mode(), err)
	}
}

func TestARenamedFileIsReopened(t *testing.T) {
	file, path := opened(t)
	write(t, file, "a\n")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write(t, file, "b\n")
	if err := file.Reopen(); err != nil {
		t.Fatal(err)
	}
	write(t, file, "c\n")
	holds(t, path+".1", "a\nb\n")
	holds(t, path, "c\n")
}

func TestADeletedFileIsRecreated(t *testing.T) {
	file, path := opened(t)
	write(t, file, "a\n")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	write(t, file, "b\n")
	holds(t, path, "b\n")
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write([]byte("c\n")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, file, "d\n")
	holds(t, path, "d\n")
}

func TestAFailedReopenKeepsTheOldFile(t *testing.T) {
	file, path := opened(t)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := file.Reopen(); err == nil {
		t.Error("a folder was opened")
	}
	write(t, file, "a\n")
	holds(t, path+".1", "a\n")
}

func TestAPipeWithoutAReaderIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip(err)
	}
	if _, err := linewriter.OpenFile(path); !errors.Is(err, syscall.ENXIO) {
		t.Errorf("error %v", err)
	}
}

func TestAFullDiskIsAnError(t *testing.T) {
	file, err := linewriter.OpenFile("/dev/full")
	if err != nil {
		t.Skip(err)
	}
	if _, err := file.Write([]byte("a\n")); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("error %v", err)
	}
}

func TestReopeningLosesNoWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	file, err := linewriter.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range 2000 {
			if err := file.Reopen(); err != nil {
				t.Error(err)
			}
		}
	}()
	written := 0
	for reopening := true; reopening; written++ {
		if _, err := file.Write([]byte("line\n")); err != nil {
			t.Fatal(err)
		}
		select {
		case <-ended:
			reopening = false
		default:
		}
	}
	content, err := os.ReadFile(path)
	if got := strings.Count(string(content), "line\n"); err != nil || got != written {
		t.Errorf("%d lines of %d, error %v", got, written, err)
	}
}
