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

// ImportCounts is how far an import has come. What is read is linked, was there, or
// is bad.
type ImportCounts struct {
	Lines  int // that hold a user and a Customer, or should
	Linked int
	There  int // linked before
	Bad    int
}

// CSVImport links the users of a CSV file. All but DryRun is required.
type CSVImport struct {
	API clienttoken.API
	// DryRun links nothing, and reports what an import would.
	DryRun bool
	// Bad is told each line that is not linked, by its number from 1, with the
	// reason. Lines with a fault of their own come before those of the same
	// batch that are in conflict.
	Bad func(line int, reason error)
	// Progress is told after each batch how far it is.
	Progress func(ImportCounts)
}

const (
	importBatch = 2000 // rows
	pageSize    = 1000 // links of an export
	// maxLine is above what the longest user id and a URL can need: 255 quoted
	// characters of four bytes.
	maxLine = 8 << 10
)

// Run imports from r: lines of a user id and the id or URL of the user's
// Customer, separated by a comma and quoted as in RFC 4180, after an optional
// header "user,customer". Each line stands for itself: a bad one is told to Bad
// and the next one goes on. Importing the same again changes nothing, so that
// an import which ended early, by an error of r, of the database or by ctx, is
// resumed by running it again.
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
		return ImportCounts{}, ErrUTF16
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

// csvRun is a running import.
type csvRun struct {
	CSVImport

	target   *customerdb.Import
	imported ImportCounts
	rows     []customerdb.LinkRow
	lines    []int // the numbers of the rows' lines
}

// add takes a line, which is bad where fault is not nil.
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

// errNoRow is the answer for an empty line and for the header.
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

// splitLine returns the fields of a line. Only what is quoted needs the rules.
func splitLine(line string) ([]string, error) {
	if !strings.Contains(line, `"`) {
		return strings.Split(line, ","), nil
	}
	fields, err := csv.NewReader(strings.NewReader(line)).Read()
	if fault, ok := errors.AsType[*csv.ParseError](err); ok {
		err = fault.Err // without the number of the line, which is always 1
	}
	if err != nil {
		return nil, fmt.Errorf("column quoted wrongly: %w", err)
	}
	return fields, nil
}

// ErrUTF16 is the answer to a file in UTF-16 or UTF-32, as some spreadsheets save
// "Unicode text".
var ErrUTF16 = errors.New("the file is in UTF-16 or UTF-32: save it as CSV in UTF-8")

// wide reports whether the text begins in UTF-16 or UTF-32, with a byte order mark
// or without: both write a NUL for an ASCII letter.
func (l *lineReader) wide() bool {
	start, _ := l.buffer.Peek(4) // an error comes again from next
	return bytes.HasPrefix(start, []byte("\xff\xfe")) || bytes.HasPrefix(start, []byte("\xfe\xff")) || bytes.IndexByte(start, 0) >= 0
}

// lineReader reads lines that end with LF or CRLF, and can do without at the
// end of the file.
type lineReader struct {
	buffer *bufio.Reader
	number int // of the line that was read, from 1
}

// errLongLine is the answer for a line that was skipped.
var errLongLine = fmt.Errorf("the line is longer than %d bytes", maxLine)

// next returns the next line, or io.EOF when there is none.
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
