package app

import (
	"context"
	"slices"
	"sync"

	"dropgate/internal/auth/session"
	"dropgate/internal/handler"
)

// dependency is a system behind the service.
type dependency struct {
	what   string
	system string                          // "postgres", "sqlite", "redis", or "" if what is enough
	fault  func(ctx context.Context) error // returns nil if it is available
}

// reason classifies an error and names its system: "postgres: authentication failed".
func (d dependency) reason(err error) string {
	if d.system == "" {
		return string(reasonOf(err))
	}
	return d.system + ": " + string(reasonOf(err))
}

// own returns the dependencies without which this replica cannot serve: its stores,
// and the identity provider's keys. Once it has had keys, it no longer needs the
// provider.
func (a *App) own() []dependency {
	return slices.Concat([]dependency{a.sink()}, a.stores(), a.keys())
}

// keys are those of the identity provider.
func (a *App) keys() []dependency {
	if a.signIn.keys == nil {
		return nil
	}
	return []dependency{{"identity provider keys", "", func(context.Context) error { return a.signIn.keys.Missing() }}}
}

// sink is the audit sink. Without it, the service hands out no token.
func (a *App) sink() dependency {
	return dependency{"audit", "", func(context.Context) error { return fault(a.trail) }}
}

func (a *App) stores() []dependency {
	var all []dependency
	if a.store != nil {
		all = append(all, dependency{"database", a.config.databaseSystem(), a.databaseWrites.after(a.store.Ping, a.store.TryWrite)})
	}
	if a.query != nil {
		all = append(all, dependency{"the application's database", "postgres", a.query.Check})
	}
	if a.signIn.oidc != nil && a.config.SessionStore == "redis" {
		all = append(all, dependency{"session store", "redis", a.sessionWrites.after(
			a.pingRedis,
			func(ctx context.Context) error { return session.CheckWrites(ctx, a.redis, a.config.redisTag()) })})
	}
	return all
}

// shared returns the dependencies whose outage affects every replica. Readiness
// names them, but does not fail. It shows the result of the last regular call, and
// makes no call of its own.
func (a *App) shared() []dependency { return append(a.remote(), a.applications()...) }

// remote returns those whose clients log their outages.
func (a *App) remote() []dependency {
	all := []dependency{{"dwolla", "", func(context.Context) error { return a.dwolla.Fault() }}}
	if a.out != nil && a.out.file != nil { // without a file, sink reports it
		all = append(all, dependency{"log", "", func(context.Context) error { return fault(a.out.log) }})
	}
	if a.signIn.keys != nil {
		all = append(all, dependency{"identity provider", "", func(context.Context) error {
			if a.signIn.keys.Missing() == nil { // own reports missing keys
				return a.signIn.keys.Fault()
			}
			return nil
		}})
	}
	return all
}

// ready is the readiness of this replica.
func (a *App) ready(ctx context.Context) handler.Readiness {
	var r handler.Readiness
	if a.draining.Load() {
		r.Reason = "draining"
	}
	for _, missing := range outages(ctx, a.own()) {
		if r.Reason == "" {
			r.Reason = missing.What + ": " + missing.Reason
		}
		r.Missing = append(r.Missing, missing)
	}
	r.Missing = append(r.Missing, outages(ctx, a.shared())...)
	for _, condition := range a.dwolla.Degraded() {
		r.Degraded = append(r.Degraded, "dwolla: "+condition)
	}
	if a.signIn.oidc != nil {
		for _, misfit := range a.signIn.oidc.Misfits() {
			r.Degraded = append(r.Degraded, "identity provider: "+misfit.Words)
		}
	}
	return r
}

// outages checks all dependencies at once, and returns the unavailable ones.
func outages(ctx context.Context, dependencies []dependency) []handler.Missing {
	faults := make([]error, len(dependencies))
	var checks sync.WaitGroup
	for i, d := range dependencies {
		checks.Go(func() { faults[i] = d.fault(ctx) })
	}
	checks.Wait()
	var found []handler.Missing
	for i, err := range faults {
		if err != nil {
			d := dependencies[i]
			found = append(found, handler.Missing{What: d.what, Reason: d.reason(err)})
		}
	}
	return found
}
