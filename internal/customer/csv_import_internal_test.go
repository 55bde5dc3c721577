package customer

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"strings"
	"testing"

	"dropgate/internal/clienttoken"
)

// FuzzCSV checks that each line of a file becomes one valid link or a fault with its
// number, that other CSV readers agree, and that an export imports as the same link.
func FuzzCSV(f *testing.F) {
	api, err := clienttoken.NewAPI(clienttoken.Sandbox, "")
	if err != nil {
		f.Fatal(err)
	}
	const id, other = "707177c3-bf15-4e7e-b37c-55c3898d9bf4", "fc451a7a-ae30-4404-ab95-e3553fcd733f"
	for _, file := range []string{
		"", "\n", "\r\n\r\n", "user,customer\n", "user,customer\nalice," + id + "\nbob," + other, "alice," + id + "\r\nuser,customer\r\n", "\ufeffuser,customer\nalice," + id,
		"\ufeff\"alice\"," + id, "\"a\"\"b,c\"," + id, "alice,\"" + id + "\"\n", "\"alice," + id, "alice\"," + id, "\"alice\" ," + id, "\"a\nb\"," + id, "a\rb," + id, "alice;" + id,
		"alice", "alice,", "," + id, "alice," + id + ",", " alice , " + id, "alice,https://api-sandbox.dwolla.com/customers/" + strings.ToUpper(id) + "/", "alice,https://evil.example/customers/" + id,
		"alice,https://api.dwolla.com/customers/" + id, "al\x00ice," + id, "al\xffice," + id, "\u202e," + id, strings.Repeat("é", 255) + "," + id, strings.Repeat("é", 256) + "," + id,
		strings.Repeat("x", maxLine-1) + "\nalice," + id, strings.Repeat("x", maxLine) + "\nalice," + id, strings.Repeat("x", 3*maxLine) + "\r\nalice," + id, "# alice," + id, "=cmd()," + id, "'=cmd()," + id, "''＝cmd()," + id, "'ann," + id,
	} {
		f.Add([]byte(file))
	}
	f.Fuzz(func(t *testing.T, file []byte) { checkCSV(t, &csvRun{CSVImport: CSVImport{API: api}}, file) })
}

// checkCSV reads a file to its end, next to a reader without limits.
func checkCSV(t *testing.T, run *csvRun, file []byte) {
	t.Helper()
	lines := lineReader{buffer: bufio.NewReaderSize(bytes.NewReader(file), maxLine)}
	plain := strings.SplitAfter(string(file), "\n")
	if plain[len(plain)-1] == "" {
		plain = plain[:len(plain)-1]
	}
	for i, want := range plain {
		line, err := lines.next()
		if lines.number != i+1 {
			t.Fatalf("line %d is number %d", i+1, lines.number)
		}
		switch {
		case errors.Is(err, errLongLine) != (len(want) > maxLine):
			t.Errorf("line %d of %d bytes: %v", i+1, len(want), err)
		case err == nil:
			if i == 0 {
				want = strings.TrimPrefix(want, "\ufeff")
			}
			checkCSVLine(t, run, i+1, line, strings.TrimSuffix(want, "\n"))
		}
	}
	if line, err := lines.next(); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %q (%v)", line, err)
	}
}

// checkCSVLine checks the result of one line.
func checkCSVLine(t *testing.T, run *csvRun, number int, line, plain string) {
	t.Helper()
	if line != strings.TrimSuffix(plain, "\r") {
		t.Errorf("line %d is read as %q, want %q", number, line, plain)
	}
	link, err := run.parse(number, line)
	if errors.Is(err, errNoRow) && line != "" && (number != 1 || strings.ReplaceAll(line, `"`, "") != "user,customer") {
		t.Errorf("line %d, %q, is passed over", number, line)
	}
	if err != nil {
		return
	}
	url, err := clienttoken.ParseCustomerID(run.API, link.CustomerID)
	if err != nil || url.ID() != link.CustomerID || !clienttoken.ValidUserID(link.UserID) || !strings.Contains(strings.ToLower(line), link.CustomerID) {
		t.Errorf("%q links %q to %q (%v)", line, link.UserID, link.CustomerID, err)
	}
	reader := csv.NewReader(strings.NewReader(line))
	reader.LazyQuotes = true
	if fields, err := reader.Read(); err != nil || len(fields) != 2 || original(fields[0]) != link.UserID {
		t.Errorf("%q links %q, but other readers see %q (%v)", line, link.UserID, fields, err)
	}
	exported := cell(link.UserID) + "," + cell(link.CustomerID)
	if again, err := run.parse(2, exported); err != nil || again != link {
		t.Errorf("%q is exported as %q, which is %+v (%v)", line, exported, again, err)
	}
}
