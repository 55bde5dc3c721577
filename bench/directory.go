package main

import (
	"context"
	"fmt"

	"dropgate/bench/scratch"
	"dropgate/internal/customer"
)

// makeDirectory makes a directory in the PostgreSQL at server, in a schema of
// its own, and links every user to the Customer that their claim names. It
// returns what a server needs to be set to, to use it.
//
// The cache lives for as long as it can, and each load is preceded by a warm-up
// in which all users take their turn: what is measured are remembered answers.
// With a webhook secret the server looks up the Customer's status, too.
func (s *stage) makeDirectory(ctx context.Context, server string) (settings []string, err error) {
	if s.schema, err = scratch.NewSchema(ctx, server); err != nil {
		return nil, fmt.Errorf("TEST_POSTGRES_URL: %w", err)
	}
	database, err := customer.OpenPostgres(s.schema.URL)
	if err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	defer func() { _ = database.Close() }()
	if err := database.Migrate(ctx); err != nil {
		return nil, fmt.Errorf("migrating: %w", err)
	}
	for i := range users {
		if err := database.Link(ctx, userName(i), customerID(i)); err != nil {
			return nil, fmt.Errorf("linking %s: %w", userName(i), err)
		}
	}
	return []string{
		"CUSTOMER_SOURCE=database",
		"CUSTOMER_CACHE=5m",
		"DATABASE_URL=" + s.schema.URL.Reveal(),
		"DWOLLA_WEBHOOK_SECRET=bench-webhook-secret",
	}, nil
}
