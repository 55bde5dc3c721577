package customer

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"

	"dropgate/internal/customer/customerdb"
)

// ExportCSV writes all links to w, in the form that [CSVImport] reads, with a
// header, and returns how many. A link that is made or removed meanwhile may or
// may not be among them.
//
// A user id that a spreadsheet would execute gets an apostrophe in front, which
// the import removes.
func ExportCSV(ctx context.Context, d *customerdb.Database, w io.Writer) (links int, err error) {
	out := bufio.NewWriter(w)
	if _, err := out.WriteString("user,customer\n"); err != nil {
		return 0, fmt.Errorf("writing the header: %w", err)
	}
	for after := ""; ; {
		page, err := d.List(ctx, after, pageSize)
		if err != nil {
			return links, err
		}
		for _, link := range page {
			if _, err := out.WriteString(cell(link.UserID) + "," + cell(link.CustomerID) + "\n"); err != nil {
				return links, fmt.Errorf("writing link %d: %w", links+1, err)
			}
			links++
			after = link.UserID
		}
		if len(page) < pageSize {
			break
		}
	}
	if err := out.Flush(); err != nil {
		return links, fmt.Errorf("writing the links: %w", err)
	}
	return links, nil
}

// cell is a value as a cell of a CSV file (RFC 4180). A semicolon and a tab are
// quoted as well: for spreadsheets of many countries they end a cell.
func cell(value string) string {
	value = neutralized(value)
	if !strings.ContainsAny(value, ",;\t\r\n\"") && strings.TrimSpace(value) == value {
		return value
	}
	return `"` + strings.ReplaceAll(value, `"`, `""`) + `"`
}

// neutralized is a value that no spreadsheet takes for a formula
// (https://owasp.org/www-community/attacks/CSV_Injection): one that looks like a
// formula gets an apostrophe in front.
func neutralized(value string) string {
	if formula(value) {
		return "'" + value
	}
	return value
}

// original undoes neutralized, for every value.
func original(value string) string {
	if rest, found := strings.CutPrefix(value, "'"); found && formula(rest) {
		return rest
	}
	return value
}

// formula reports whether a value looks like a formula after the apostrophes and
// spaces in front. Those do not count, so that original can tell whether
// neutralized has added one. The wide characters are those of East Asian
// keyboards.
func formula(value string) bool {
	value = strings.TrimLeft(value, "' ")
	return strings.HasPrefix(value, "\t") || strings.HasPrefix(value, "\r") || strings.HasPrefix(value, "\n") ||
		value != "" && strings.ContainsRune("=+-@＝＋－＠", []rune(value)[0])
}
