package linewriter

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
)

// filePermissions let only the service's own user read the lines.
const filePermissions = 0o600

// File appends to a file. It recreates a deleted file before the next write. It is safe
// for concurrent use.
type File struct {
	path string

	mu   sync.Mutex
	file *os.File
}

// OpenFile opens a file, or creates it.
func OpenFile(path string) (*File, error) {
	file, err := open(path)
	if err != nil {
		return nil, err
	}
	return &File{path: path, file: file}, nil
}

// open does not block: a named pipe without a reader is an error.
func open(path string) (*os.File, error) {
	const flags = os.O_APPEND | os.O_CREATE | os.O_WRONLY | syscall.O_NONBLOCK
	return os.OpenFile(path, flags, filePermissions) //nolint:gosec,wrapcheck // the operator names it; an *fs.PathError says all
}

// Write implements io.Writer.
func (f *File) Write(p []byte) (int, error) {
	file := f.current()
	if deleted(file) {
		if err := f.Reopen(); err != nil {
			return 0, fmt.Errorf("the file was deleted: %w", err)
		}
		file = f.current()
	}
	n, err := file.Write(p)
	for n == 0 && errors.Is(err, os.ErrClosed) && file != f.current() { // reopened in between
		file = f.current()
		n, err = file.Write(p)
	}
	return n, err //nolint:wrapcheck // an *fs.PathError says all
}

func (f *File) current() *os.File {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.file
}

// deleted reports whether a file has lost its last name.
func deleted(file *os.File) bool {
	info, err := file.Stat()
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Nlink == 0
}

// Reopen opens the path again, for rotation by rename. After an error it keeps the open
// file.
func (f *File) Reopen() error {
	file, err := open(f.path)
	if err != nil {
		return err
	}
	f.mu.Lock()
	old := f.file
	f.file = file
	f.mu.Unlock()
	_ = old.Close() // everything in it was accepted
	return nil
}

// Close closes the file.
func (f *File) Close() error {
	return f.current().Close() //nolint:wrapcheck // an *fs.PathError says all
}
