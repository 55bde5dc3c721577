package app

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"dropgate/internal/clienttoken"
)

// The members of ALLOW_PLAINTEXT. Everything else that the service connects to
// in production is https.
const (
	overPostgres = "postgres"
	overRedis    = "redis"
)

func (f faults) checkPlaintext(c *Config) {
	for _, name := range c.AllowPlaintext {
		if name != overPostgres && name != overRedis {
			f.add("ALLOW_PLAINTEXT", fmt.Sprintf("%q is neither postgres nor redis", name))
		}
	}
}

// needsTLS reports whether a connection to another machine has to be encrypted,
// to a server whose certificate was verified.
func (c *Config) needsTLS(over string) bool {
	return c.Environment == clienttoken.Production && !slices.Contains(c.AllowPlaintext, over)
}

// redisIsPrivate reports whether nobody on the way can read or change what goes
// to Redis: the connection stays on this machine, or has verified TLS.
func redisIsPrivate(o *redis.Options) bool {
	if o.Network == "unix" || o.TLSConfig != nil && !o.TLSConfig.InsecureSkipVerify {
		return true
	}
	host, _, err := net.SplitHostPort(o.Addr)
	return err == nil && isLoopback(host)
}

// isLoopback reports whether a host, without brackets, is this machine by its
// loopback interface. RFC 6761 reserves the name localhost for that, section 6.3.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.IsLoopback()
}
