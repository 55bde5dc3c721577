package app

import (
	"context"
	"slices"
	"sync"
	"time"

	"dropgate/internal/auth/session"
	"dropgate/internal/handler"
)

// dependency is something that the service stands on, and that may be away.
type dependency struct {
	what   string
	system string                          // "postgres", "sqlite", "redis", or "" where what says it
	fault  func(ctx context.Context) error // nil: it is there, as far as is known
}

// outage is a dependency that cannot be used.
type outage struct {
	handler.Missing

	err error // for the log alone: it may name a role or an address
}

// why returns the words for an error, after the name of the system that gave it:
// "postgres: authentication failed".
func (d dependency) why(err error) string {
	if d.system == "" {
		return string(reasonOf(err))
	}
	return d.system + ": " + string(reasonOf(err))
}

// own are those that keep this replica from serving while they are away: its
// stores, and the identity provider's keys until it has had them once. After
// that it goes on without the provider.
func (a *App) own() []dependency {
	all := append([]dependency{a.sink()}, a.stores()...)
	if a.signIn.keys != nil {
		all = append(all, dependency{"identity provider keys", "", func(context.Context) error { return a.signIn.keys.Missing() }})
	}
	return all
}

// sink is the audit trail's: without it, nothing is handed out.
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
			func(ctx context.Context) error { return a.redis.Ping(ctx).Err() },
			func(ctx context.Context) error { return session.CheckWrites(ctx, a.redis) })})
	}
	return all
}

// shared are those whose outage every replica has at once: readiness names them,
// and does not wait for them. What is told of them is what the last attempt
// showed that was made anyway.
func (a *App) shared() []dependency {
	all := []dependency{{"dwolla", "", func(context.Context) error { return a.dwolla.Fault() }}}
	if a.out != nil && a.out.file != nil { // else it is the audit's, too
		all = append(all, dependency{"log", "", func(context.Context) error { return fault(a.out.log) }})
	}
	if a.signIn.keys != nil {
		all = append(all, dependency{"identity provider", "", func(context.Context) error {
			if a.signIn.keys.Missing() == nil { // else own names it
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
	for _, missing := range away(ctx, a.own()) {
		if r.Reason == "" {
			r.Reason = missing.What + ": " + missing.Reason
		}
		r.Missing = append(r.Missing, missing.Missing)
	}
	for _, missing := range away(ctx, a.shared()) {
		r.Missing = append(r.Missing, missing.Missing)
	}
	return r
}

// away asks all of them at once, and returns those that are not there.
func away(ctx context.Context, dependencies []dependency) []outage {
	faults := make([]error, len(dependencies))
	var asking sync.WaitGroup
	for i, d := range dependencies {
		asking.Go(func() { faults[i] = d.fault(ctx) })
	}
	asking.Wait()
	var missing []outage
	for i, err := range faults {
		if err != nil {
			d := dependencies[i]
			missing = append(missing, outage{handler.Missing{What: d.what, Reason: d.why(err)}, err})
		}
	}
	return missing
}

const (
	watchEvery  = 2 * time.Second
	watchWithin = 2 * time.Second // of one look
)

// watch writes a line when one of the replica's own stores goes away, and one
// when it is there again. Dwolla's client and the keys of the identity provider
// do so themselves.
func (a *App) watch(ctx context.Context) {
	dependencies := append([]dependency{a.sink()}, a.stores()...)
	known := map[string][]string{}
	for ctx.Err() == nil {
		look, cancel := context.WithTimeout(ctx, watchWithin)
		missing := away(look, dependencies)
		cancel()
		if ctx.Err() == nil {
			known = a.tell(known, missing)
		}
		select {
		case <-time.After(watchEvery):
		case <-ctx.Done():
		}
	}
}

// tell writes the lines, and returns what is away now, with the reasons that the
// log has. It logs each reason once during an outage.
func (a *App) tell(known map[string][]string, missing []outage) map[string][]string {
	now := map[string][]string{}
	for _, m := range missing {
		now[m.What] = known[m.What]
		if !slices.Contains(known[m.What], m.Reason) {
			now[m.What] = append(now[m.What], m.Reason)
			a.log.Warn().Str("missing", m.What).Str("reason", m.Reason).Err(m.err).Msg("not ready: something is missing")
		}
	}
	for what := range known {
		if now[what] == nil {
			a.log.Info().Str("found", what).Msg("what was missing is there again")
		}
	}
	return now
}
