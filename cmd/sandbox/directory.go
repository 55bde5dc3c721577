package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"dropgate/internal/app"
)

// directory creates a database with the personas' links. It returns the
// service's settings for the database and for enrollment.
func (b *background) directory(ctx context.Context, dwolla []string) ([]string, error) {
	folder, err := os.MkdirTemp("", "dropgate-sandbox-")
	if err != nil {
		return nil, err //nolint:wrapcheck // the error names the folder
	}
	b.closers = append(b.closers, func() error { return os.RemoveAll(folder) })
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails (crypto/rand)
	settings := []string{
		"DWOLLA_ENVIRONMENT=sandbox",
		"CUSTOMER_SOURCE=database",
		"DATABASE_URL=sqlite:" + filepath.Join(folder, "links.db"),
		"ENROLLMENT_KEYS=" + base64.StdEncoding.EncodeToString(key),
	}
	std := app.Streams{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard}
	for _, p := range b.personas {
		if p.Customer == "" {
			continue
		}
		if err := app.Customers(ctx, []string{"link", p.User, p.Customer}, append(settings, dwolla...), std); err != nil {
			return nil, fmt.Errorf("%s's Customer: %w", p.User, err)
		}
	}
	return settings, nil
}
