package app

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/clienttoken"
	"dropgate/internal/rotation"
)

// watchSecrets prepares the watch of the secrets' files, and of these.
func (a *App) watchSecrets(registry prometheus.Registerer, files []rotation.File) {
	for field := range settings() {
		name := field.Tag.Get("env")
		path, named := a.config.files[name]
		if !named {
			continue
		}
		files = append(files, rotation.File{
			Setting: name,
			InForce: a.config.given[name],
			Read:    func() (clienttoken.Secret, error) { return readSecretFile(name, path) },
			Use:     func(ctx context.Context, value clienttoken.Secret) error { return a.rotate(ctx, name, value) },
		})
	}
	a.secrets = rotation.NewWatcher(rotation.Config{Files: files, Logger: a.log, Registerer: registry})
}

// Reload looks at the files of secrets soon, without a wait for their writers.
func (a *App) Reload() { a.secrets.Reload() }

// rotate puts the new value of a secret setting into force. Calls do not overlap. The
// error shows no secret.
func (a *App) rotate(ctx context.Context, name string, value clienttoken.Secret) error {
	next, err := a.live.Load().with(name, value)
	if wrong, ok := errors.AsType[*ConfigError](err); ok {
		return errors.New(strings.Join(wrong.Faults, "; "))
	}
	if use := a.users()[name]; use != nil {
		if err := use(ctx, &next); err != nil {
			return err
		}
	}
	a.live.Store(&next)
	return nil
}

// users puts the value of a setting into force where reading a.live for each use would
// not do.
func (a *App) users() map[string]func(context.Context, *Config) error {
	return map[string]func(context.Context, *Config) error{
		"DWOLLA_CLIENT_SECRET": a.rotateClientSecret,
		"DATABASE_URL":         a.rotateDatabase,
		"REDIS_URL":            a.rotateRedis,
		"AUTH_OIDC_CLIENT_SECRET": func(_ context.Context, c *Config) error {
			if a.signIn.oidc != nil {
				a.signIn.oidc.RotateSecret(c.OIDCSecret)
			}
			return a.rotateSealing(c)
		},
		"AUTH_OIDC_CLIENT_KEYS": func(_ context.Context, c *Config) error {
			if a.signIn.oidc != nil {
				a.signIn.oidc.RotateClientKeys(c.clientKeys)
			}
			return nil
		},
		"SESSION_KEYS": func(_ context.Context, c *Config) error { return a.rotateSealing(c) },
		"AUTH_PROXY_SECRET": func(_ context.Context, c *Config) error {
			if a.signIn.proxy != nil {
				a.signIn.proxy.Rotate(c.ProxySecret)
			}
			return nil
		},
		"CUSTOMER_LOOKUP_TOKEN": func(_ context.Context, c *Config) error {
			if a.lookup != nil {
				a.lookup.Rotate(c.LookupToken)
			}
			return nil
		},
		"ENROLLMENT_KEYS": func(_ context.Context, c *Config) error {
			if a.enrollment != nil {
				a.enrollment.Rotate(c.enrollment)
			}
			return nil
		},
	}
}

// rotateClientSecret changes the secret at Dwolla, and what derives from it in Redis.
func (a *App) rotateClientSecret(ctx context.Context, c *Config) error {
	if err := a.dwolla.Rotate(ctx, c.ClientSecret); err != nil {
		return err
	}
	secrets := c.clientSecrets()
	a.limits.Rotate(secrets[0])
	a.notices.Rotate(secrets...)
	return nil
}

// rotateSealing replaces the keys of sessions and sign-ins.
func (a *App) rotateSealing(c *Config) error {
	if a.signIn.oidc != nil {
		a.signIn.oidc.RotateKeys(c.sealing)
	}
	if a.signIn.sessions != nil {
		a.signIn.sessions.Rotate(c.sealing)
	}
	return nil
}

// rotateDatabase changes the user and the password of PostgreSQL.
func (a *App) rotateDatabase(ctx context.Context, c *Config) error {
	switch {
	case a.query != nil:
		return a.query.Rotate(ctx, c.DatabaseURL)
	case a.store == nil:
		return nil
	case !a.live.Load().isPostgres() || !c.isPostgres():
		return errors.New("DATABASE_URL: only the user and the password of PostgreSQL can change without a restart")
	}
	return a.store.Rotate(ctx, c.DatabaseURL)
}

// refusedOnce returns what to do when another system refuses a value of a setting, and
// another value is tried.
func (a *App) refusedOnce(setting string) func() {
	return func() {
		a.log.Error().Str("setting", setting).Msg("the other side refuses a value of the secret; another one is tried")
	}
}

// warnOfDerivedKeys warns before the first rotation of the client secret.
func (a *App) warnOfDerivedKeys() {
	c := a.config
	if slices.Contains(c.AuthModes, "oidc") && c.SessionKeys.IsZero() && c.Environment == clienttoken.Production {
		a.log.Warn().Msg("SESSION_KEYS is not set: sessions depend on AUTH_OIDC_CLIENT_SECRET, and removing its old value ends them; see docs/rotation.md")
	}
}
