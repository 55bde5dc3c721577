package customerdb

import (
	"context"
	"io/fs"
)

// MigrateLike migrates as a newer binary would, with further migrations.
func (d *Database) MigrateLike(ctx context.Context, newer fs.FS) error {
	return d.migrateFrom(ctx, newer)
}
