package app

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
	"dropgate/internal/postgres"
)

// checkDirectory holds the rules about who says whose Customer is whose.
func (f faults) checkDirectory(c *Config) {
	switch c.CustomerSource {
	case "claim":
	case "database":
		f.checkDatabase(c)
	case "lookup":
		f.checkLookup(c)
	case "query":
		f.checkRequired("CUSTOMER_QUERY", c.CustomerQuery)
		if !isPostgres(c) {
			f.add("DATABASE_URL", "has to be the application's own postgres://… for CUSTOMER_SOURCE=query")
		} else {
			f.checkDatabase(c)
		}
	default:
		f.add("CUSTOMER_SOURCE", fmt.Sprintf("%q is none of claim, database, lookup and query", c.CustomerSource))
	}
	f.checkWithin("CUSTOMER_CACHE", c.CustomerCache, 0, 5*time.Minute)
	if c.StatusInterval != 0 {
		f.checkWithin("CUSTOMER_STATUS_INTERVAL", c.StatusInterval, 10*time.Second, 24*time.Hour)
	}
}

func isPostgres(c *Config) bool {
	url := c.DatabaseURL.Reveal()
	return strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://")
}

func (f faults) checkDatabase(c *Config) {
	if isPostgres(c) {
		f.checkPostgres(c)
		return
	}
	if path, found := strings.CutPrefix(c.DatabaseURL.Reveal(), "sqlite:"); !found || path == "" {
		f.add("DATABASE_URL", "is neither sqlite:FILE nor postgres://user:password@host:5432/name")
	}
}

func (f faults) checkPostgres(c *Config) {
	servers, err := postgres.Servers(c.DatabaseURL)
	if err != nil {
		f.add("DATABASE_URL", err.Error())
		return
	}
	exposed := func(s postgres.Server) bool { return !s.Socket && !s.Verified && !isLoopback(s.Host) }
	if c.needsTLS(overPostgres) && slices.ContainsFunc(servers, exposed) {
		f.add("DATABASE_URL", "reaches another machine without verified TLS: set sslmode=verify-full, with sslrootcert where the CA is your own, "+
			"or ALLOW_PLAINTEXT=postgres where a mesh encrypts (verify-ca does not compare the server's name)")
	}
}

func (f faults) checkLookup(c *Config) {
	f.checkRequired("CUSTOMER_LOOKUP_URL", c.LookupURL)
	f.checkLength("CUSTOMER_LOOKUP_TOKEN", c.LookupToken, 16)
	if c.LookupURL == "" {
		return
	}
	if _, err := customer.NewLookup(customer.LookupConfig{API: c.api, URL: c.LookupURL}); err != nil {
		f.add("CUSTOMER_LOOKUP_URL", err.Error())
	} else if c.Environment == clienttoken.Production && !strings.HasPrefix(c.LookupURL, "https://") {
		f.add("CUSTOMER_LOOKUP_URL", "is not https: whoever can change the answer on its way can give anybody's Customer to anybody")
	}
}

// checkEnrollment holds the rules about what changes whose Customer is whose,
// and about what keeps it.
func (f faults) checkEnrollment(c *Config) {
	if !c.EnrollmentKeys.IsZero() {
		var err error
		if c.keys, err = customer.ParseEnrollmentKeys(c.EnrollmentKeys); err != nil {
			f.add("ENROLLMENT_KEYS", err.Error())
		}
		f.checkKeys("ENROLLMENT_KEYS", c.EnrollmentKeys)
	}
	f.checkLength("DWOLLA_WEBHOOK_SECRET", c.WebhookSecret, 16)
	if c.CustomerSource != "database" {
		for name, set := range map[string]bool{"ENROLLMENT_KEYS": !c.EnrollmentKeys.IsZero(), "ADMIN_TOKEN": !c.AdminToken.IsZero()} {
			if set {
				f.add(name, "needs CUSTOMER_SOURCE=database: with "+c.CustomerSource+" the links are somebody else's")
			}
		}
	}
	switch {
	case c.WebhookSecret.IsZero():
	case c.CustomerSource == "query":
		f.add("DWOLLA_WEBHOOK_SECRET", "cannot be used with CUSTOMER_SOURCE=query, whose database is the application's: use CUSTOMER_STATUS_INTERVAL")
	case c.CustomerSource != "database":
		f.checkDatabase(c)
	}
}
