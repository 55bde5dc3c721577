package app

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	watchEvery  = 2 * time.Second
	watchWithin = 2 * time.Second // timeout of a check
)

// watched is a dependency that watch follows. Watch is the only part of the process that
// logs the outage of a store, however many workers and requests notice it.
type watched struct {
	dependency

	own    bool // readiness needs it
	asked  bool // the check makes a call, so its time counts
	silent bool // its client logs its outages
	// because names the dependencies whose outage explains this one.
	because []string
	// lost counts the connections that broke. It is nil if nothing counts them.
	lost func() uint64
}

// finding is the result of a check.
type finding struct {
	err  error
	took time.Duration
}

// watches returns all dependencies that watch follows. Those that others may explain come
// first: a store that fails between two checks must not look healthy in the later one.
func (a *App) watches() []watched {
	all := append(slices.Concat(a.limitsAndNotices(), a.queues()), watched{dependency: a.sink(), own: true})
	for _, d := range a.stores() {
		all = append(all, watched{dependency: d, own: true, asked: true, lost: a.lostBy(d.what)})
	}
	if a.redis != nil && !a.keepsSessionsInRedis() {
		all = append(all, watched{dependency: dependency{"redis", "redis", a.pingRedis}, asked: true, lost: a.lostBy("redis")})
	}
	for _, d := range a.applications() {
		if d.what == "the application's directory" {
			all = append(all, watched{dependency: d, because: []string{"the application's sessions"}})
		} else {
			all = append(all, watched{dependency: d})
		}
	}
	for _, d := range slices.Concat(a.keys(), a.remote()) {
		if d.what == "dwolla" { // a throttle, an open circuit and a total failure count, too
			d.fault = a.dwollaFault
		}
		all = append(all, watched{dependency: d, silent: true})
	}
	return all
}

func (a *App) keepsSessionsInRedis() bool {
	return a.signIn.oidc != nil && a.config.SessionStore == "redis"
}

func (a *App) dwollaFault(context.Context) error {
	if conditions := a.dwolla.Degraded(); len(conditions) > 0 {
		return errors.New(conditions[0])
	}
	return a.dwolla.Fault()
}

// limitsAndNotices are the uses of Redis that readiness does not need.
func (a *App) limitsAndNotices() []watched {
	var all []watched
	if a.redis == nil {
		return nil
	}
	because := []string{"session store", "redis"}
	if a.limits != nil {
		all = append(all, watched{dependency: dependency{"rate limits", "redis", a.limits.Recheck}, because: because})
	}
	if a.notices != nil {
		all = append(all, watched{dependency: dependency{"notices", "redis", func(context.Context) error { return a.notices.Fault() }}, because: because})
	}
	return all
}

// queues are the queues in the database.
func (a *App) queues() []watched {
	var all []watched
	if a.inbox != nil {
		all = append(all, watched{
			dependency: dependency{"webhook queue", a.config.databaseSystem(), func(context.Context) error { return a.inbox.Fault() }},
			because:    []string{"database"},
		})
	}
	if a.outbox != nil {
		all = append(all, watched{
			dependency: dependency{"audit outbox", a.config.databaseSystem(), func(context.Context) error { return a.outbox.Fault() }},
			because:    []string{"database", "audit"},
		})
	}
	return all
}

// lostBy returns what counts the broken connections to a store.
func (a *App) lostBy(what string) func() uint64 {
	switch what {
	case "database":
		return a.store.Lost
	case "the application's database":
		return a.query.Lost
	}
	return func() uint64 { return uint64(a.redis.PoolStats().StaleConns) }
}

// watch checks all dependencies regularly, for the metrics and for the log.
func (a *App) watch(ctx context.Context) {
	all := a.watches()
	known := newOutageLog(a.log, all)
	for ctx.Err() == nil {
		found := checks(ctx, all)
		if ctx.Err() != nil {
			return
		}
		a.dependencies.set(all, found)
		known.note(found)
		select {
		case <-time.After(watchEvery):
		case <-ctx.Done():
		}
	}
}

// checks first asks the dependencies that others may explain, and then all others, at once.
func checks(ctx context.Context, all []watched) []finding {
	found := make([]finding, len(all))
	for _, explained := range []bool{true, false} {
		limited, cancel := context.WithTimeout(ctx, watchWithin)
		var running sync.WaitGroup
		for i, d := range all {
			if (len(d.because) > 0) == explained {
				running.Go(func() {
					began := time.Now()
					err := d.fault(limited)
					found[i] = finding{err, time.Since(began)}
				})
			}
		}
		running.Wait()
		cancel()
	}
	return found
}

// lostConnections exports the broken connections to stores.
func lostConnections(r prometheus.Registerer, all []watched) {
	for _, d := range all {
		if d.lost == nil {
			continue
		}
		r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name:        "dropgate_store_connections_lost_total",
			Help:        "Connections to a store that broke, or that were closed after a long time without use, by dependency as in dropgate_dependency_up.",
			ConstLabels: prometheus.Labels{"dependency": d.label()},
		}, func() float64 { return float64(d.lost()) }))
	}
}
