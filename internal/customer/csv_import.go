package customer

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer/customerdb"
)

// ImportCounts is the progress of an import.
type ImportCounts struct {
	Lines  int // with a link, good or bad
	Linked int
	There  int // already linked
	Bad    int
}

// CSVImport links the users of a CSV file. All fields but DryRun are required.
type CSVImport struct {
	API clienttoken.API
	// DryRun reports the result of an import without linking.
	DryRun bool
	// Bad receives the number, from 1, and the fault of each line that was not linked.
	// In a batch, malformed lines come before conflicts.
	Bad func(line int, reason error)
	// Progress is called after each batch.
	Progress func(ImportCounts)
}

const (
	importBatch = 2000 // rows
	pageSize    = 1000 // links of an export
	// maxLine bytes hold the longest user id, 255 quoted characters of four bytes, and
	// a URL.
	maxLine = 8 << 10
)

// Run imports lines from r: a user id, a comma, and the id or URL of the user's
// Customer, quoted as in RFC 4180. The first line may be the header "user,customer". A
// bad line goes to Bad, and the import continues. After an error of r, the database or
// ctx, run the same import again: linked lines stay as they are.
func (c CSVImport) Run(ctx context.Context, d *customerdb.Database, r io.Reader) (ImportCounts, error) {
	target := d.Import()
	if c.DryRun {
		var err error
		if target, err = d.DryImport(ctx); err != nil {
			return ImportCounts{}, err
		}
	}
	defer target.Close()
	run := &csvRun{CSVImport: c, target: target}
	lines := lineReader{buffer: bufio.NewReaderSize(r, maxLine)}
	if lines.wide() {
		return ImportCounts{}, errUTF16
	}
	for {
		line, err := lines.next()
		if errors.Is(err, io.EOF) {
			return run.imported, run.flush(ctx)
		}
		if err != nil && !errors.Is(err, errLongLine) {
			return run.imported, fmt.Errorf("reading line %d: %w", lines.number, err)
		}
		if err := run.add(ctx, lines.number, line, err); err != nil {
			return run.imported, err
		}
	}
}

// csvRun is an import in progress.
type csvRun struct {
	CSVImport

	target   *customerdb.Import
	imported ImportCounts
	rows     []customerdb.LinkRow
	lines    []int // the line numbers of rows
}

// add adds a line to the batch, or reports its fault.
func (c *csvRun) add(ctx context.Context, number int, line string, fault error) error {
	var link customerdb.LinkRow
	if fault == nil {
		link, fault = c.parse(number, line)
	}
	switch {
	case errors.Is(fault, errNoRow):
		return nil
	case fault != nil:
		c.imported.Lines++
		c.bad(number, fault)
		return nil
	}
	c.imported.Lines++
	c.rows, c.lines = append(c.rows, link), append(c.lines, number)
	if len(c.rows) < importBatch {
		return nil
	}
	return c.flush(ctx)
}

func (c *csvRun) bad(line int, reason error) {
	c.imported.Bad++
	c.Bad(line, reason)
}

func (c *csvRun) flush(ctx context.Context) error {
	if len(c.rows) > 0 {
		batch, err := c.target.Add(ctx, c.rows)
		if err != nil {
			return fmt.Errorf("importing lines %d to %d: %w", c.lines[0], c.lines[len(c.lines)-1], err)
		}
		c.imported.Linked += batch.Linked
		c.imported.There += len(c.rows) - batch.Linked - len(batch.Conflicts)
		for _, conflict := range batch.Conflicts {
			c.bad(c.lines[conflict.Row], conflict.Err)
		}
	}
	c.rows, c.lines = c.rows[:0], c.lines[:0]
	c.Progress(c.imported)
	return nil
}

// errNoRow marks an empty line or the header.
var errNoRow = errors.New("no row")

func (c *csvRun) parse(number int, line string) (customerdb.LinkRow, error) {
	if line == "" {
		return customerdb.LinkRow{}, errNoRow
	}
	fields, err := splitLine(line)
	switch {
	case err != nil:
		return customerdb.LinkRow{}, err
	case number == 1 && slices.Equal(fields, []string{"user", "customer"}):
		return customerdb.LinkRow{}, errNoRow
	case len(fields) != 2:
		return customerdb.LinkRow{}, fmt.Errorf("%d fields, want 2: a user id and a Customer", len(fields))
	}
	user, named := original(fields[0]), fields[1]
	if err := clienttoken.CheckUserID(user); err != nil {
		return customerdb.LinkRow{}, err
	}
	customer, err := clienttoken.ParseCustomer(c.API, named)
	if err != nil {
		return customerdb.LinkRow{}, err
	}
	return customerdb.LinkRow{UserID: user, CustomerID: customer.ID()}, nil
}

// splitLine returns the fields of a line. Only quotes need a CSV parser.
func splitLine(line string) ([]string, error) {
	if !strings.Contains(line, `"`) {
		return strings.Split(line, ","), nil
	}
	fields, err := csv.NewReader(strings.NewReader(line)).Read()
	if fault, ok := errors.AsType[*csv.ParseError](err); ok {
		err = fault.Err // without its line number, which is always 1
	}
	if err != nil {
		return nil, fmt.Errorf("malformed quotes: %w", err)
	}
	return fields, nil
}

// errUTF16 rejects a file in UTF-16 or UTF-32, as some spreadsheets save "Unicode
// text".
var errUTF16 = errors.New("the file is in UTF-16 or UTF-32: save it as CSV in UTF-8")

// wide reports whether the file is in UTF-16 or UTF-32, with or without a byte order
// mark. Both encode an ASCII letter with a NUL.
func (l *lineReader) wide() bool {
	start, _ := l.buffer.Peek(4) // next returns the error again
	return bytes.HasPrefix(start, []byte("\xff\xfe")) || bytes.HasPrefix(start, []byte("\xfe\xff")) || bytes.IndexByte(start, 0) >= 0
}

// lineReader reads lines ending in LF or CRLF. The last line needs no ending.
type lineReader struct {
	buffer *bufio.Reader
	number int // of the line last read, from 1
}

// errLongLine marks a line that was skipped.
var errLongLine = fmt.Errorf("the line is longer than %d bytes", maxLine)

// next returns the next line, or io.EOF at the end.
func (l *lineReader) next() (string, error) {
	l.number++
	line, err := l.buffer.ReadSlice('\n')
	long := false
	for errors.Is(err, bufio.ErrBufferFull) {
		long = true
		_, err = l.buffer.ReadSlice('\n')
	}
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return "", err //nolint:wrapcheck // the caller knows what it reads
	case long:
		return "", errLongLine
	case err != nil && len(line) == 0:
		return "", io.EOF
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(line), "\n"), "\r")
	if l.number == 1 {
		text = strings.TrimPrefix(text, "\ufeff") // a byte order mark, as spreadsheets write it
	}
	return text, nil
}
