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

// Whatever a file holds: each of its lines is one link of somebody who can be a
// user to a Customer of this environment, or bad by its own number; other
// readers of CSV agree about the line; what is exported is imported the same.
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
		strings.Repeat("x", maxLine-1) + "\nalice," + id, strings.Repeat("x", maxLine) + "\nalice," + id, strings.Repeat("x", 3*maxLine) + "\r\nalice," + id, "# alice," + id, "=cmd()," + id,
	} {
		f.Add([]byte(file))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		run := &csvRun{ImportCSV: ImportCSV{API: api}}
		lines := lineReader{buffer: bufio.NewReaderSize(bytes.NewReader(file), maxLine)}
		plain := strings.Split(strings.TrimPrefix(string(file), "\ufeff"), "\n")
		for n := 1; ; n++ {
			line, err := lines.next()
			if errors.Is(err, io.EOF) {
				if rest := strings.Join(plain[min(n-1, len(plain)):], "\n"); rest != "" {
					t.Errorf("%q is left after line %d", rest, n-1)
				}
				return
			}
			if lines.number != n || n > len(plain) {
				t.Fatalf("line %d is number %d of %d", n, lines.number, len(plain))
			}
			if errors.Is(err, errLongLine) != (len(plain[n-1]) >= maxLine-len("\ufeff")) && len(plain[n-1]) < maxLine-len("\ufeff") {
				t.Errorf("line %d of %d bytes: %v", n, len(plain[n-1]), err)
			}
			if err == nil {
				checkCSVLine(t, run, n, line, plain[n-1])
			}
		}
	})
}

// checkCSVLine checks what becomes of a line that is plain in the file.
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
	if fields, err := reader.Read(); err != nil || len(fields) != 2 || fields[0] != link.UserID {
		t.Errorf("%q links %q, but other readers see %q (%v)", line, link.UserID, fields, err)
	}
	var out strings.Builder
	writer := csv.NewWriter(&out)
	if err := writer.Write([]string{link.UserID, link.CustomerID}); err != nil {
		t.Fatal(err)
	}
	writer.Flush()
	if again, err := run.parse(2, strings.TrimSuffix(out.String(), "\n")); err != nil || again != link {
		t.Errorf("%q is exported as %q, which is %+v (%v)", line, out.String(), again, err)
	}
}
