// Package scratch gives a bench its own PostgreSQL schema and many users. It never
// touches other schemas, and drops its own at the end.
package scratch

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // database/sql's driver "pgx"

	"dropgate/internal/clienttoken"
)

// Schema is a private schema. Create one with [NewSchema] and remove it with
// [Schema.Drop].
type Schema struct {
	// URL is the server's URL with this schema as the search path.
	URL clienttoken.Secret

	admin *sql.DB
	name  string // quoted
}

// NewSchema creates a schema on the server at a URL such as
// postgres://user:password@host:5432/database. The user needs the privilege to create
// schemas.
func NewSchema(ctx context.Context, server string) (*Schema, error) {
	parsed, err := url.Parse(server)
	if err != nil {
		return nil, errors.New("invalid URL of the server") // hides the password
	}
	name := strings.ToLower("dropgate_bench_" + rand.Text())
	query := parsed.Query()
	query.Set("search_path", name)
	parsed.RawQuery = query.Encode()
	admin, err := sql.Open("pgx", server)
	if err != nil {
		return nil, fmt.Errorf("reading the server's URL: %w", err)
	}
	s := &Schema{URL: clienttoken.NewSecret(parsed.String()), admin: admin, name: pgx.Identifier{name}.Sanitize()}
	if _, err := admin.ExecContext(ctx, "CREATE SCHEMA "+s.name); err != nil {
		_ = admin.Close()
		return nil, fmt.Errorf("making a schema: %w", err)
	}
	return s, nil
}

// Drop removes the schema and its contents.
func (s *Schema) Drop() error {
	// Also after an interrupt.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	defer func() { _ = s.admin.Close() }()
	if _, err := s.admin.ExecContext(ctx, "DROP SCHEMA "+s.name+" CASCADE"); err != nil {
		return fmt.Errorf("the schema %s is left behind: %w", s.name, err)
	}
	return nil
}
