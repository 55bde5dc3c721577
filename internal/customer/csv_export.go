package customer

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"

	"dropgate/internal/customer/customerdb"
)

// ExportCSV writes all links to w with a header, in the form [CSVImport] reads, and
// returns their number. Links made or removed meanwhile may be missing.
//
// A user id that a spreadsheet would run as a formula gets a leading apostrophe. The
// import removes it.
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

// cell quotes value for a CSV file (RFC 4180). Semicolons and tabs need quotes too:
// many locales use them as separators.
func cell(value string) string {
	value = neutralized(value)
	if !strings.ContainsAny(value, ",;\t\r\n\"") && strings.TrimSpace(value) == value {
		return value
	}
	return `"` + strings.ReplaceAll(value, `"`, `""`) + `"`
}

// neutralized puts an apostrophe before a formula, so spreadsheets show it as text
// (https://owasp.org/www-community/attacks/CSV_Injection).
func neutralized(value string) string {
	if formula(value) {
		return "'" + value
	}
	return value
}

// original undoes neutralized for every value.
func original(value string) string {
	if rest, found := strings.CutPrefix(value, "'"); found && formula(rest) {
		return rest
	}
	return value
}

// formula reports whether a spreadsheet may run the value. It skips leading
// apostrophes and spaces, so original can undo neutralized. The wide characters come
// from East Asian keyboards.
func formula(value string) bool {
	value = strings.TrimLeft(value, "' ")
	return strings.HasPrefix(value, "\t") || strings.HasPrefix(value, "\r") || strings.HasPrefix(value, "\n") ||
		value != "" && strings.ContainsRune("=+-@＝＋－＠", []rune(value)[0])
}
