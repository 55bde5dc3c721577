package app

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
	"dropgate/internal/postgres"
	"dropgate/internal/rotation"
)

// The members of ALLOW_PLAINTEXT. All other connections of the service are https
// in production.
const (
	overPostgres = "postgres"
	overRedis    = "redis"
)

func (k checker) plaintext() {
	for _, name := range k.AllowPlaintext {
		if name != overPostgres && name != overRedis {
			k.fail("ALLOW_PLAINTEXT", fmt.Sprintf("%q is neither postgres nor redis", name))
		}
	}
}

// needsTLS reports whether a connection to another machine must have verified TLS.
func (c Config) needsTLS(over string) bool {
	return c.Environment == clienttoken.Production && !slices.Contains(c.AllowPlaintext, over)
}

func (k checker) redisURL() {
	if !slices.Contains([]string{redisServer, redisSentinel, redisCluster}, k.RedisMode) {
		k.fail("REDIS_MODE", fmt.Sprintf("must be server, sentinel or cluster, not %q", k.RedisMode))
	} else if k.RedisMode != redisServer && k.RedisURL.IsZero() && len(k.unparsed["REDIS_URL_FILE"]) == 0 {
		k.fail("REDIS_URL", "is required for REDIS_MODE="+k.RedisMode)
	}
	if k.redis != nil && k.needsTLS(overRedis) && !k.redis.private() {
		k.fail("REDIS_URL", "reaches another machine without verified TLS: use rediss:// without skip_verify, or set ALLOW_PLAINTEXT=redis where a mesh encrypts")
	}
}

// redisIsPrivate reports whether the traffic to Redis stays on this machine or has
// verified TLS.
func redisIsPrivate(o *redis.Options) bool {
	if o.Network == "unix" || o.TLSConfig != nil && !o.TLSConfig.InsecureSkipVerify {
		return true
	}
	host, _, err := net.SplitHostPort(o.Addr)
	return err == nil && isLoopback(host)
}

// isLoopback reports whether a host, without brackets, is the loopback interface.
// RFC 6761, 6.3 reserves the name localhost for it.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.IsLoopback()
}

func (k checker) source() {
	switch k.CustomerSource {
	case "claim", "database", "lookup":
	case "query":
		k.required("CUSTOMER_QUERY", k.CustomerQuery)
	default:
		k.fail("CUSTOMER_SOURCE", fmt.Sprintf("must be claim, database, lookup or query, not %q", k.CustomerSource))
	}
	k.within("CUSTOMER_CACHE", k.CustomerCache, 0, 5*time.Minute)
	if k.StatusInterval != 0 {
		k.within("CUSTOMER_STATUS_INTERVAL", k.StatusInterval, 10*time.Second, 24*time.Hour)
	}
}

func (c Config) isPostgres() bool {
	url := c.DatabaseURL.Reveal()
	return strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://")
}

// databaseURL checks DATABASE_URL if the links or webhooks use it.
func (k checker) databaseURL() {
	switch path, isSQLite := strings.CutPrefix(k.DatabaseURL.Reveal(), "sqlite:"); {
	case k.CustomerSource != "database" && k.CustomerSource != "query" && k.WebhookSecret.IsZero():
	case k.isPostgres():
		k.postgresURL()
	case strings.Contains(k.DatabaseURL.Reveal(), "\n"):
		k.fail("DATABASE_URL", "has several lines: only postgres:// URLs may, during a rotation")
	case k.CustomerSource == "query":
		k.fail("DATABASE_URL", "must be the postgres:// URL of the application's database, for CUSTOMER_SOURCE=query")
	case !isSQLite || path == "":
		k.fail("DATABASE_URL", "is neither sqlite:FILE nor postgres://user:password@host:5432/name")
	}
}

// The values of DATABASE_MIGRATE.
const (
	migrateAtStart = "start"
	migrateByJob   = "job"
)

// databaseUse checks the settings beside DATABASE_URL.
func (k checker) databaseUse() {
	if k.DatabaseMax != 0 && len(k.unparsed["DATABASE_MAX_CONNECTIONS"]) == 0 && (k.DatabaseMax < 2 || k.DatabaseMax > 1000) {
		k.fail("DATABASE_MAX_CONNECTIONS", fmt.Sprintf("%d is not between 2 and 1000", k.DatabaseMax))
	}
	switch {
	case k.DatabaseSchema != migrateAtStart && k.DatabaseSchema != migrateByJob:
		k.fail("DATABASE_MIGRATE", "must be start or job")
	case k.DatabaseSchema == migrateByJob && k.keepsData() && !k.isPostgres():
		k.fail("DATABASE_MIGRATE", "must be start for a SQLite file: its only server migrates it")
	}
}

func (k checker) postgresURL() {
	urls := rotation.Values(k.DatabaseURL)
	servers, err := postgres.Servers(urls[0])
	if err != nil {
		k.fail("DATABASE_URL", err.Error())
		return
	}
	if slices.ContainsFunc(urls[1:], func(other clienttoken.Secret) bool { return !postgres.SameDatabase(urls[0], other) }) {
		k.fail("DATABASE_URL", "has lines that differ in more than the user and the password")
	}
	exposed := func(s postgres.Server) bool { return !s.Socket && !s.Verified && !isLoopback(s.Host) }
	if k.needsTLS(overPostgres) && slices.ContainsFunc(servers, exposed) {
		k.fail("DATABASE_URL", "reaches another machine without verified TLS: set sslmode=verify-full, with sslrootcert for a CA of your own, "+
			"or ALLOW_PLAINTEXT=postgres where a mesh encrypts (verify-ca does not compare the server's name)")
	}
}

func (k checker) lookup() {
	if k.CustomerSource != "lookup" {
		return
	}
	k.required("CUSTOMER_LOOKUP_URL", k.LookupURL)
	k.longEnough("CUSTOMER_LOOKUP_TOKEN", k.LookupToken)
	if k.LookupURL == "" {
		return
	}
	if _, err := customer.NewLookup(customer.LookupConfig{API: k.api, URL: k.LookupURL}); err != nil {
		k.fail("CUSTOMER_LOOKUP_URL", err.Error())
	} else if k.Environment == clienttoken.Production && !strings.HasPrefix(k.LookupURL, "https://") {
		k.fail("CUSTOMER_LOOKUP_URL", "is not https: an attacker on the network could give a user another user's Customer")
	}
}

// enrollmentKeys also checks ADMIN_TOKEN: both change links, so they need dropgate's own
// database. Operators may also have sessions to see.
func (k checker) enrollmentKeys() {
	k.keysNotGuessable("ENROLLMENT_KEYS", k.EnrollmentKeys)
	if k.CustomerSource == "database" {
		return
	}
	if !k.EnrollmentKeys.IsZero() {
		k.fail("ENROLLMENT_KEYS", "needs CUSTOMER_SOURCE=database: with "+k.CustomerSource+", another system keeps the links")
	}
	if !k.AdminToken.IsZero() && !slices.Contains(k.AuthModes, "oidc") {
		k.fail("ADMIN_TOKEN", "needs CUSTOMER_SOURCE=database, whose links operators change, or oidc in AUTH_MODES, whose sessions they end")
	}
}

func (k checker) webhooks() {
	k.longEnough("DWOLLA_WEBHOOK_SECRET", k.WebhookSecret)
	if k.CustomerSource == "query" && !k.WebhookSecret.IsZero() {
		k.fail("DWOLLA_WEBHOOK_SECRET", "cannot be used with CUSTOMER_SOURCE=query, whose database is the application's: use CUSTOMER_STATUS_INTERVAL")
	}
}
