package app_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// redisURL is the server to test with.
func redisURL(t *testing.T) string {
	t.Helper()
	at := os.Getenv("TEST_REDIS_URL")
	if at == "" && os.Getenv("CI") == "true" {
		t.Fatal("TEST_REDIS_URL is not set")
	} else if at == "" {
		t.Skip("TEST_REDIS_URL is not set")
	}
	return at
}

// postgresURL returns the URL of a new schema, dropped after the test.
func postgresURL(t *testing.T) string {
	t.Helper()
	server := os.Getenv("TEST_POSTGRES_URL")
	if server == "" && os.Getenv("CI") == "true" {
		t.Fatal("TEST_POSTGRES_URL is not set")
	} else if server == "" {
		t.Skip("TEST_POSTGRES_URL is not set")
	}
	db, err := sql.Open("pgx", server)
	if err != nil {
		t.Fatal(err)
	}
	schema := strings.ToLower("dropgate_test_" + rand.Text())
	if _, err := db.ExecContext(t.Context(), "CREATE SCHEMA "+schema); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, err := db.ExecContext(context.WithoutCancel(t.Context()), "DROP SCHEMA "+schema+" CASCADE")
		if err = errors.Join(err, db.Close()); err != nil {
			t.Error(err)
		}
	})
	at, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	query := at.Query()
	query.Set("search_path", schema)
	at.RawQuery = query.Encode()
	return at.String()
}

// directories are the supported databases.
func directories() map[string]func(t *testing.T) string {
	return map[string]func(t *testing.T) string{
		"SQLite": func(t *testing.T) string {
			t.Helper()
			return "sqlite:" + filepath.Join(t.TempDir(), "links.db")
		},
		"PostgreSQL": postgresURL,
	}
}

// execute runs statements at a PostgreSQL server.
func execute(t *testing.T, databaseURL string, statements ...string) {
	t.Helper()
	db, err := sql.Open("pgx", databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// withPassword adds a password, which must not appear anywhere.
func withPassword(t *testing.T, databaseURL string) string {
	t.Helper()
	at, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	at.User = url.UserPassword(at.User.Username(), databasePassword)
	return at.String()
}
