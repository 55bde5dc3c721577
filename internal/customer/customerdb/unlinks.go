package customerdb

import "context"

// Unlinks returns the number of unlinks so far, by all processes.
func (d *Database) Unlinks(ctx context.Context) (UnlinkCount, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	var now UnlinkCount
	if err := d.reads.QueryRowContext(ctx, `SELECT unlinks FROM dropgate_unlinks`).Scan(&now); err != nil {
		return 0, queryFault(ctx, "counting unlinks", err)
	}
	return now, nil
}

// UnlinkedSince returns at most limit users whose last unlink came after that count.
func (d *Database) UnlinkedSince(ctx context.Context, count UnlinkCount, limit int) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	rows, err := d.reads.QueryContext(ctx, `SELECT user_id FROM dropgate_unlinked_users WHERE unlinks > $1 LIMIT $2`, count, limit)
	if err != nil {
		return nil, queryFault(ctx, "reading unlinked users", err)
	}
	defer func() { _ = rows.Close() }() // its error is in rows.Err
	var users []string
	for rows.Next() {
		var user string
		if err := rows.Scan(&user); err != nil {
			return nil, queryFault(ctx, "reading an unlinked user", err)
		}
		users = append(users, user)
	}
	if err := rows.Err(); err != nil {
		return nil, queryFault(ctx, "reading unlinked users", err)
	}
	return users, nil
}
