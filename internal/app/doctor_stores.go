package app

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"dropgate/internal/auth/session"
	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
	"dropgate/internal/customer/customerdb"
	"dropgate/internal/keyring"
	"dropgate/internal/postgres"
)

// tryRedis checks the connection, the role, the rights and the settings. The test of the
// rights writes and deletes a key in one step.
func (d *doctor) tryRedis(ctx context.Context) []verdict {
	_ = withCredentials(d.config.redis)
	client := d.config.redis.open()
	defer func() { _ = client.Close() }()
	if err := client.Ping(ctx).Err(); err != nil {
		return []verdict{bad("check REDIS_URL, REDIS_MODE and the network", "%s", reasonOf(err))}
	}
	found := []verdict{good("it answers")}
	if d.config.redis.server != nil {
		found = append(found, redisRole(ctx, client)...)
	}
	if err := session.CheckWrites(ctx, client, d.config.redisTag()); err != nil {
		found = append(found, bad("give the user the commands in docs/deployment.md, at the primary", "the rights: %s", reasonOf(err)))
	} else {
		found = append(found, good("its rights"))
	}
	return append(found, d.redisSettings(ctx, client)...)
}

// redisRole refuses a replica: it does not know the latest logouts.
func redisRole(ctx context.Context, client redis.Cmdable) []verdict {
	info, err := client.Info(ctx, "replication").Result()
	switch {
	case err != nil:
		return []verdict{note("its role is not visible to this user")}
	case strings.Contains(info, "role:slave"):
		return []verdict{bad("let REDIS_URL name the primary, or use REDIS_MODE=sentinel", "it is a replica")}
	}
	return []verdict{good("it is a primary")}
}

func (d *doctor) redisSettings(ctx context.Context, client redis.UniversalClient) []verdict {
	store := session.NewRedis(session.RedisConfig{
		Client: client, Tag: d.config.redisTag(), Keys: keyring.Of(clienttoken.NewSecret("only to read settings")),
		Limits: session.Limits{Idle: time.Minute, Lifetime: time.Minute, Now: time.Now}, Logger: d.log, Registerer: d.registry(),
		Scope: session.Scope{Issuer: "only to read settings"},
	})
	risks, err := store.RiskySettings(ctx)
	if errors.Is(err, session.ErrUnknownSettings) {
		return []verdict{note("its settings are not visible to this user: compare eviction and persistence with docs/deployment.md")}
	} else if err != nil {
		return []verdict{bad("check the network", "its settings: %s", reasonOf(err))}
	}
	var found []verdict
	for _, risk := range risks {
		what, hint, _ := strings.Cut(risk, "; ")
		found = append(found, bad(hint, "%s", what))
	}
	if len(found) == 0 {
		found = []verdict{good("its eviction and persistence")}
	}
	return found
}

// tryDatabase checks TLS, the schema and the rights. Its test write is rolled back, and it
// never migrates.
func (d *doctor) tryDatabase(ctx context.Context) []verdict {
	if !d.config.isPostgres() {
		if _, err := os.Stat(strings.TrimPrefix(d.config.DatabaseURL.Reveal(), "sqlite:")); err != nil {
			return []verdict{bad("start the service once to create the file, or check DATABASE_URL", "the SQLite file cannot be read: %s", reasonOf(err))}
		}
		return []verdict{good("the SQLite file exists; a second process does not open it")}
	}
	store, err := d.config.openPostgres()
	if err != nil {
		return []verdict{bad("check DATABASE_URL", "%s", reasonOf(err))}
	}
	defer func() { _ = store.Close() }()
	schema, err := store.Schema(ctx)
	if err != nil {
		hint := "check DATABASE_URL, the role's password and the network"
		if reasonOf(err) == schemaOutdated {
			hint = "run server migrate, or start a server with DATABASE_MIGRATE=start"
		}
		return []verdict{d.databaseTLS(), bad(hint, "the schema: %s", reasonOf(err))}
	}
	found := []verdict{d.databaseTLS()}
	if schema.Version < customerdb.OldestSchema || schema.Compatible > customerdb.NewestSchema {
		found = append(found, bad("run server migrate with this version, or run a newer version", "the schema is version %d, this binary uses %d to %d", schema.Version, customerdb.OldestSchema, customerdb.NewestSchema))
	} else {
		found = append(found, good("the schema is version %d", schema.Version))
	}
	if err := store.TryWrite(ctx); err != nil {
		return append(found, bad("give the role the privileges in docs/deployment.md, at the primary", "the rights: %s", reasonOf(err)))
	}
	return append(found, good("its rights"))
}

// databaseTLS says whether every server that the URL allows proves its name.
func (d *doctor) databaseTLS() verdict {
	servers, err := postgres.Servers(d.config.DatabaseURL)
	if err != nil {
		return note("TLS is not known")
	}
	for _, s := range servers {
		if !s.Verified && !s.Socket && !isLoopback(s.Host) {
			return bad("add sslmode=verify-full to DATABASE_URL, with sslrootcert for a private authority", "a connection to another machine goes without verified TLS")
		}
	}
	return good("each connection has verified TLS or stays on this machine")
}

// trySource looks up the Customer of -user.
func (d *doctor) trySource(ctx context.Context) []verdict {
	name := d.config.CustomerSource
	if name == "claim" {
		return []verdict{note("the Customer comes from the claim %s of each sign-in, so there is nothing to try", d.config.CustomerClaim)}
	}
	source, err := d.openSource(ctx)
	if err != nil {
		return []verdict{bad("check the settings of CUSTOMER_SOURCE="+name+" (docs/directory.md)", "%s: %s", name, reasonOf(err))}
	}
	defer func() { _ = source.close() }()
	if d.user == "" {
		return []verdict{note("give -user USER to look up a Customer by %s", name)}
	}
	found, err := source.customer(ctx, d.user)
	failure, known := errors.AsType[*clienttoken.Failure](err)
	switch {
	case errors.Is(err, clienttoken.ErrNoCustomer):
		return []verdict{bad("use a user who has one, or link this user", "%s: this user has no Customer", name)}
	case known && failure.Remedy != "":
		return []verdict{bad(failure.Remedy, "%s: %s", name, reasonOf(err))}
	case err != nil:
		return []verdict{bad("check the settings of CUSTOMER_SOURCE="+name+" (docs/directory.md)", "%s: %s", name, reasonOf(err))}
	}
	return []verdict{good("%s: the user has the Customer %s", name, found.ID())}
}

// openedSource is a source of Customers without a cache.
type openedSource struct {
	customer func(ctx context.Context, user string) (clienttoken.CustomerURL, error)
	close    func() error
}

// openSource opens the source without changing it. Unlike the service it does not
// migrate, so it brings the user id into its stored form itself.
func (d *doctor) openSource(ctx context.Context) (openedSource, error) {
	c := d.config
	user := func(id string) clienttoken.User { return clienttoken.User{ID: c.userIDs().Canonical(id)} }
	switch c.CustomerSource {
	case "lookup":
		lookup, err := customer.NewLookup(customer.LookupConfig{
			API: c.api, URL: c.LookupURL, Token: c.LookupToken, Transport: d.egress, Refused: func() {}, Outcome: func(error) {},
		})
		return openedSource{func(ctx context.Context, id string) (clienttoken.CustomerURL, error) {
			return lookup.Customer(ctx, user(id))
		}, func() error { return nil }}, err
	case "query":
		query, err := customer.NewQuery(c.DatabaseURL, c.CustomerQuery, c.api)
		if err != nil {
			return openedSource{}, err
		}
		if err := query.Check(ctx); err != nil {
			_ = query.Close()
			return openedSource{}, err
		}
		query.SetUserIDs(c.userIDs())
		return openedSource{func(ctx context.Context, id string) (clienttoken.CustomerURL, error) {
			return query.Customer(ctx, user(id))
		}, query.Close}, nil
	}
	return d.openLinks(ctx, user)
}
