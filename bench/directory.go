package main

import (
	"context"
	"fmt"

	"dropgate/bench/scratch"
	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
	"dropgate/internal/customer/customerdb"
)

// makeDirectory creates a directory in its own schema of the PostgreSQL at server. It
// links bystanders, and then every user to the Customer of their claim. It returns the
// settings of a server with this directory.
//
// The cache has its longest lifetime, and a warm-up by all users precedes each load. So
// the bench measures cached answers. With a webhook secret the server also looks up the
// Customer's status.
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

// linkBystanders imports their links like `server customers import`.
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
