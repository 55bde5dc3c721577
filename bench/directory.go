package main

import (
	"context"
	"fmt"

	"dropgate/bench/scratch"
	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
	"dropgate/internal/customer/customerdb"
)

// makeDirectory makes a directory in the PostgreSQL at server, in a schema of
// its own, and links every user to the Customer that their claim names, after so
// many bystanders to theirs. It returns what a server needs to be set to, to use
// it.
//
// The cache lives for as long as it can, and each load is preceded by a warm-up
// in which all users take their turn: what is measured are remembered answers.
// With a webhook secret the server looks up the Customer's status, too.
func (s *stage) makeDirectory(ctx context.Context, server string, bystanders int) (settings []string, err error) {
	schema, err := scratch.NewSchema(ctx, server)
	if err != nil {
		return nil, fmt.Errorf("TEST_POSTGRES_URL: %w", err)
	}
	s.schemas = append(s.schemas, schema)
	database, err := customerdb.OpenPostgres(schema.URL)
	if err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	defer func() { _ = database.Close() }()
	if err := database.Migrate(ctx); err != nil {
		return nil, fmt.Errorf("migrating: %w", err)
	}
	if err := linkBystanders(ctx, database, bystanders); err != nil {
		return nil, err
	}
	for i := range users {
		if err := database.Link(ctx, userName(i), customerID(i)); err != nil {
			return nil, fmt.Errorf("linking %s: %w", userName(i), err)
		}
	}
	return []string{
		"CUSTOMER_SOURCE=database",
		"CUSTOMER_CACHE=5m",
		"DATABASE_URL=" + schema.URL.Reveal(),
		"DWOLLA_WEBHOOK_SECRET=bench-webhook-secret",
	}, nil
}

// linkBystanders imports their links, as `server customers import` does.
func linkBystanders(ctx context.Context, database *customerdb.Database, n int) error {
	if n == 0 {
		return nil
	}
	api, err := clienttoken.NewAPI(clienttoken.Sandbox, "")
	if err != nil {
		return fmt.Errorf("naming the API: %w", err)
	}
	lines := customer.CSVImport{API: api, Bad: func(int, error) {}, Progress: func(customer.ImportCounts) {}}
	if got, err := lines.Run(ctx, database, scratch.Links(n)); err != nil || got.Linked != n {
		return fmt.Errorf("linked %d of %d: %w", got.Linked, n, err)
	}
	return nil
}
