package app

import (
	"runtime"
	"slices"
	"syscall"
)

const (
	// mostConnections is the most connections of callers on the public listener. net/http
	// uses about 20 KiB for an idle connection, and more for one with a slow body. With
	// 4000 slow bodies the heap stood at cmd/server's memory limit, and the garbage
	// collector ran all the time (make test-faults).
	mostConnections = 3_000
	// mostAdminConnections is for probes, Prometheus and operators.
	mostAdminConnections = 250
	// fewestConnections is kept however few file descriptors there are.
	fewestConnections = 16
	// otherDescriptors is for files, listeners, and the connections to the provider and
	// the application.
	otherDescriptors = 128
)

const (
	// usualHeader is enough for cookies and for most tokens, in bytes.
	usualHeader = 16 << 10
	// bearerHeader has room for a token of the longest accepted length.
	bearerHeader = 40 << 10
	// addedByHTTP is what net/http adds to the limit.
	addedByHTTP = 4 << 10
	// headerMemory bounds the headers of all connections together, in bytes.
	headerMemory = 60 << 20
)

// maxHeader is the size of a request's headers on the public listener, in bytes.
func (c Config) maxHeader() int {
	switch {
	case c.MaxHeader != 0:
		return c.MaxHeader
	case slices.Contains(c.AuthModes, "bearer"):
		return bearerHeader
	default:
		return usualHeader
	}
}

// mostPublic is the most connections on the public listener whose headers fit into
// headerMemory.
func (c Config) mostPublic() int {
	return min(mostConnections, headerMemory/(c.maxHeader()+addedByHTTP))
}

// connectionLimits are the most connections of callers at once, by listener.
type connectionLimits struct {
	descriptors   uint64 // of this process; 0 if unknown
	public, admin int
}

// connectionLimits divides the file descriptors of this process. A process without any
// left can reach neither its stores nor Dwolla, so callers must not use them up.
func (c Config) connectionLimits() connectionLimits {
	var limit syscall.Rlimit // the runtime has raised Cur to Max
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return connectionLimits{public: c.mostPublic(), admin: mostAdminConnections}
	}
	limits := divideDescriptors(limit.Cur, c.ownDescriptors())
	limits.public = min(limits.public, c.mostPublic())
	return limits
}

// ownDescriptors returns the most descriptors that this process needs for itself.
func (c Config) ownDescriptors() uint64 {
	own := otherDescriptors + c.MaxCalls + max(c.DatabaseMax, 16)
	if c.redis != nil {
		own += max(c.redis.poolSize(), 10*runtime.GOMAXPROCS(0)) + 20 // and its pool for pipelines
	}
	return uint64(own) //nolint:gosec // not negative
}

// divideDescriptors reserves own of the descriptors for this process, but at most half of
// them.
func divideDescriptors(all, own uint64) connectionLimits {
	free := all - min(own, all/2)
	admin := min(max(free/10, fewestConnections), mostAdminConnections)
	public := min(max(free-min(admin, free), fewestConnections), mostConnections)
	return connectionLimits{descriptors: all, public: int(public), admin: int(admin)}
}

// logDescriptors warns if callers get fewer connections than usual.
func (a *App) logDescriptors() {
	if l, most := a.connections, a.config.mostPublic(); l.public < most {
		a.log.Warn().Uint64("file_descriptors", l.descriptors).Int("max_connections", l.public).
			Msgf("the limit of file descriptors (ulimit -n) leaves few connections for callers; %d need %d", most,
				uint64(most)+mostAdminConnections+a.config.ownDescriptors()) //nolint:gosec // positive
	}
}
