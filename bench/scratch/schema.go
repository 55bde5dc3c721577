// Package scratch gives a bench a place of its own on a PostgreSQL server, and many users. It
// changes nothing else there, and takes the place away at the end.
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

// Schema is a schema that nobody else uses. Make one with [NewSchema], and
// [Schema.Drop] it.
type Schema struct {
	// URL is that of the server, with this schema in the place of all others.
	URL clienttoken.Secret

	admin *sql.DB
	name  string // quoted
}

// NewSchema makes a schema on the server that is at a URL such as
// postgres://user:password@host:5432/database, whose user may make schemas.
func NewSchema(ctx context.Context, server string) (*Schema, error) {
	parsed, err := url.Parse(server)
	if err != nil {
		return nil, errors.New("the server's URL is none") // whose text may hold the password
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

// Drop removes the schema and all that is in it.
func (s *Schema) Drop() error {
	// Also when the bench was interrupted.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	defer func() { _ = s.admin.Close() }()
	if _, err := s.admin.ExecContext(ctx, "DROP SCHEMA "+s.name+" CASCADE"); err != nil {
		return fmt.Errorf("the schema %s is left behind: %w", s.name, err)
	}
	return nil
}
