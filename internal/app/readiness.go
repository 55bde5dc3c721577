package app

import (
	"context"
	"sync"
	"time"

	"dropgate/internal/handler"
)

// dependency is something that the service stands on, and that may be away.
type dependency struct {
	what  string
	fault func(ctx context.Context) error // nil: it is there, as far as is known
}

// own are those that keep this replica from serving while they are away.
func (a *App) own() []dependency {
	var all []dependency
	if a.store != nil {
		all = append(all, dependency{"database", a.store.Ping})
	}
	if a.query != nil {
		all = append(all, dependency{"the application's database", a.query.Check})
	}
	if a.oidc != nil && a.config.SessionStore == "redis" {
		all = append(all, dependency{"session store", func(ctx context.Context) error { return a.redis.Ping(ctx).Err() }})
	}
	return all
}

// shared are those whose outage every replica has at once: readiness names them,
// and does not wait for them. What is told of them is what the last attempt
// showed that was made anyway.
func (a *App) shared() []dependency {
	all := []dependency{{"dwolla", func(context.Context) error { return a.dwolla.Fault() }}}
	if a.keys != nil {
		all = append(all, dependency{"identity provider", func(context.Context) error { return a.keys.Fault() }})
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
		r.Missing = append(r.Missing, missing)
	}
	r.Missing = append(r.Missing, away(ctx, a.shared())...)
	return r
}

// away asks all of them at once, and returns those that are not there.
func away(ctx context.Context, dependencies []dependency) []handler.Missing {
	faults := make([]error, len(dependencies))
	var asking sync.WaitGroup
	for i, d := range dependencies {
		asking.Go(func() { faults[i] = d.fault(ctx) })
	}
	asking.Wait()
	var missing []handler.Missing
	for i, err := range faults {
		if err != nil {
			missing = append(missing, handler.Missing{What: dependencies[i].what, Reason: err.Error()})
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
	dependencies := a.own()
	if len(dependencies) == 0 {
		return
	}
	known := map[string]bool{}
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

// tell writes the lines, and returns what is away now.
func (a *App) tell(known map[string]bool, missing []handler.Missing) map[string]bool {
	now := map[string]bool{}
	for _, m := range missing {
		now[m.What] = true
		if !known[m.What] {
			a.log.Warn().Str("missing", m.What).Str("reason", m.Reason).Msg("not ready: something is missing")
		}
	}
	for what := range known {
		if !now[what] {
			a.log.Info().Str("found", what).Msg("what was missing is there again")
		}
	}
	return now
}
