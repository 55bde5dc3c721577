package app

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"reflect"
	"syscall"

	"dropgate/internal/clienttoken"
)

// maxSecret bounds the file of a secret, in bytes.
const maxSecret = 64 << 10

// secretFiles returns the file of each secret setting that has one.
func secretFiles(vars map[string]string) map[string]string {
	files := map[string]string{}
	for field := range settings() {
		name := field.Tag.Get("env")
		if file := vars[name+"_FILE"]; isSecret(field) && file != "" {
			files[name] = file
		}
	}
	return files
}

// hidden keeps the variables from being printed with a configuration.
func hidden(vars map[string]string) map[string]clienttoken.Secret {
	secrets := make(map[string]clienttoken.Secret, len(vars))
	for name, value := range vars {
		secrets[name] = clienttoken.NewSecret(value)
	}
	return secrets
}

// readSecretFiles replaces X_FILE by X in vars, for each secret X.
func (f faults) readSecretFiles(vars map[string]string) {
	for name, file := range secretFiles(vars) {
		if vars[name] != "" {
			f.add(name, "is given twice: as "+name+" and as "+name+"_FILE")
			continue
		}
		value, err := readSecretFile(name, file)
		if err != nil {
			f.add(name+"_FILE", err.Error())
			continue
		}
		vars[name] = value.Reveal()
	}
}

// readSecretFile reads the file of a setting. The error shows nothing of its content.
func readSecretFile(name, file string) (clienttoken.Secret, error) {
	content, err := readAtMost(file, maxSecret+1)
	if err != nil {
		return clienttoken.Secret{}, err
	}
	if len(content) > maxSecret {
		return clienttoken.Secret{}, fmt.Errorf("%s is larger than %d bytes", file, maxSecret)
	}
	value, err := cleanValue(settingNamed(name), string(content))
	if err != nil {
		return clienttoken.Secret{}, fmt.Errorf("%s %w", file, err)
	}
	if value == "" {
		return clienttoken.Secret{}, fmt.Errorf("%s is empty", file)
	}
	return clienttoken.NewSecret(value), nil
}

// settingNamed returns the field of a setting.
func settingNamed(name string) reflect.StructField {
	for field := range settings() {
		if field.Tag.Get("env") == name {
			return field
		}
	}
	panic("no setting " + name)
}

// readAtMost reads the first n bytes of a file. It does not wait for the writer of a
// pipe, which would delay the start.
func readAtMost(file string, n int64) ([]byte, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0) //nolint:gosec // the operator names it
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%w: user %d of group %d must be able to read it", err, os.Getuid(), os.Getgid())
	}
	if err != nil {
		return nil, err //nolint:wrapcheck // an *fs.PathError names the operation and the file
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, n)) //nolint:wrapcheck // an *fs.PathError, too
}

// with returns the configuration with another value of a secret setting, checked by
// every rule but those about other files, which may be in the middle of a change of
// their own. The error is a *ConfigError.
func (c Config) with(name string, value clienttoken.Secret) (Config, error) {
	given := maps.Clone(c.given)
	given[name] = value
	vars := make(map[string]string, len(given))
	for name, value := range given {
		vars[name] = value.Reveal()
	}
	next, f := Config{given: given, files: c.files, Policy: c.Policy}, faults{}
	f.fill(&next, vars)
	f.parse(&next)
	f.check(next, rules()...)
	return next.unless(f)
}
