package main

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"dropgate/internal/auth/provider"
	"dropgate/internal/dwolla/emulator"
)

// replaceFile writes a file for the eyes of the sandbox's user. A crash leaves the
// old content or the new one.
func replaceFile(name string, content []byte) error {
	written, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return cannotKeep(name, err)
	}
	defer func() { _ = os.Remove(written.Name()) }() // gone already after the renaming
	_, err = written.Write(content)
	if err == nil {
		err = written.Sync()
	}
	if closed := written.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(written.Name(), name)
	}
	if err != nil {
		return cannotKeep(name, err)
	}
	return nil
}

func cannotKeep(name string, err error) error {
	return fmt.Errorf("cannot keep %s: %w; the folder must exist, and user %d must be able to write to it", name, err, os.Getuid())
}

// keyFile is the file with the provider's key, in PEM. Empty: there is none.
type keyFile string

// open returns the key in the file. It makes both the key and the file if the file is
// missing.
func (f keyFile) open() (*rsa.PrivateKey, error) {
	key, err := f.read()
	if errors.Is(err, fs.ErrNotExist) {
		if key, err = provider.NewKey(); err == nil {
			err = f.write(key)
		}
	}
	return key, err
}

func (f keyFile) read() (*rsa.PrivateKey, error) {
	text, err := os.ReadFile(string(f))
	if err != nil {
		return nil, fmt.Errorf("-provider-key: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("-provider-key: %s holds no key in PEM; delete it, and the provider makes a new one", string(f))
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if key, ok := parsed.(*rsa.PrivateKey); ok && err == nil {
		return key, nil
	}
	return nil, fmt.Errorf("-provider-key: %s holds no RSA key in PKCS #8; delete it, and the provider makes a new one", string(f))
}

func (f keyFile) write(key *rsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("-provider-key: %w", err)
	}
	return replaceFile(string(f), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// stateFile keeps the emulator's Customers. Without a name, it keeps nothing.
type stateFile struct {
	name     string
	emulator *emulator.Emulator
}

// restore reads the file. It reports whether there was one.
func (f stateFile) restore() (bool, error) {
	if f.name == "" {
		return false, nil
	}
	text, err := os.ReadFile(f.name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = f.emulator.Restore(text)
	}
	if err != nil {
		return false, fmt.Errorf("-emulator-state %s: %w; delete the file to begin anew", f.name, err)
	}
	return true, nil
}

func (f stateFile) save() error {
	if f.name == "" {
		return nil
	}
	text, err := f.emulator.Snapshot()
	if err != nil {
		return err
	}
	return replaceFile(f.name, text)
}

// saving writes the file after each request with an effect on a resource, before the
// answer leaves: answers of the emulator fit into the buffer of net/http. If the file
// cannot be written, the client gets no answer, since a restart would lose the change.
func (f stateFile) saving(next http.Handler) http.Handler {
	if f.name == "" {
		return next
	}
	var one sync.Mutex
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r)
		switch {
		case r.Method == http.MethodGet, r.Method == http.MethodHead, r.Method == http.MethodOptions:
		case r.URL.Path == "/token", r.URL.Path == "/client-tokens": // they make no resource
		default:
			one.Lock()
			defer one.Unlock()
			if err := f.save(); err != nil {
				_, _ = fmt.Fprintln(os.Stderr, "sandbox:", err)
				panic(http.ErrAbortHandler) // closes the connection
			}
		}
	})
}
