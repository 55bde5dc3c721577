package customer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"dropgate/internal/customer"
	"dropgate/internal/customer/customerdb"
)

func TestCSVFiles(t *testing.T) {
	databases := map[string]newDatabase{"SQLite": newSQLite, "PostgreSQL": newPostgres}
	for name, database := range databases {
		for promise, test := range map[string]func(t *testing.T, open func() *customerdb.Database){
			"BadLinesAreReportedAndSkipped":  badLinesAreReportedAndSkipped,
			"FirstConflictingLineWins":       firstConflictingLineWins,
			"DryRunReportsWithoutLinking":    dryRunReportsWithoutLinking,
			"ConflictsAreFoundAcrossBatches": conflictsAreFoundAcrossBatches,
			"CanceledImportCanRunAgain":      canceledImportCanRunAgain,
			"ProgressIsReported":             progressIsReported,
			"ExportCanBeImported":            exportCanBeImported,
		} {
			t.Run(name+"/"+promise, func(t *testing.T) { test(t, database(t)) })
		}
	}
}

// imported is the report of an import.
type imported struct {
	Counts customer.ImportCounts
	Bad    map[int]string // reasons, by line
}

// newImport returns an import that reports to the imported.
func newImport(tb testing.TB) (customer.CSVImport, *imported) {
	got := &imported{Bad: map[int]string{}}
	return customer.CSVImport{
		API: sandbox(tb),
		Bad: func(line int, reason error) {
			if _, told := got.Bad[line]; told {
				tb.Errorf("line %d was reported twice", line)
			}
			got.Bad[line] = reason.Error()
		},
		Progress: func(customer.ImportCounts) {},
	}, got
}

func importText(t *testing.T, d *customerdb.Database, text string) imported {
	t.Helper()
	run, got := newImport(t)
	return finish(t, run, got, d, text)
}

func tryOut(t *testing.T, d *customerdb.Database, text string) imported {
	t.Helper()
	run, got := newImport(t)
	run.DryRun = true
	return finish(t, run, got, d, text)
}

func finish(t *testing.T, run customer.CSVImport, got *imported, d *customerdb.Database, text string) imported {
	t.Helper()
	var err error
	if got.Counts, err = run.Run(t.Context(), d, strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	return *got
}

func wantImported(t *testing.T, got, want imported) {
	t.Helper()
	if want.Bad == nil {
		want.Bad = map[int]string{}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("import (-want +got):\n%s", diff)
	}
}

func badLinesAreReportedAndSkipped(t *testing.T, open func() *customerdb.Database) {
	d := open()
	api := sandbox(t)
	got := importText(t, d, "\ufeffuser,customer\r\n"+
		"ann,"+customerNumber(1)+"\r\n"+
		"\n"+
		"bob,"+strings.ToUpper(api.Root()+"/customers/"+customerNumber(2))+"/\n"+
		"cid\n"+
		"dan,"+customerNumber(4)+",x\n"+
		"\"eve,"+customerNumber(5)+"\n"+ // does not swallow the next line
		"\"f,\"\"f\","+customerNumber(6)+"\n"+
		","+customerNumber(7)+"\n"+
		"g\x00,"+customerNumber(7)+"\n"+
		"g\xff,"+customerNumber(7)+"\n"+
		"hal, "+customerNumber(8)+"\n"+
		"ida,https://api.dwolla.com/customers/"+customerNumber(9)+"\n"+
		"user,customer\n"+
		strings.Repeat("x", 1<<20)+"\n"+
		"jim,\n"+
		"kim,"+customerNumber(11)) // no line end
	user := "the user id is not 1 to 255 printable characters"
	want := imported{
		Counts: customer.ImportCounts{Lines: 15, Linked: 4, Bad: 11},
		Bad: map[int]string{
			5:  "1 fields, want 2: a user id and a Customer",
			6:  "3 fields, want 2: a user id and a Customer",
			7:  `malformed quotes: extraneous or missing " in quoted-field`,
			9:  user,
			10: user,
			11: user,
			12: `" ` + customerNumber(8) + `" is not the id of a Customer`,
			13: got.Bad[13],
			14: `"customer" is not the id of a Customer`,
			15: "the line is longer than 8192 bytes",
			16: `"" is not the id of a Customer`,
		},
	}
	wantImported(t, got, want)
	if got.Bad[13] == "" {
		t.Error("a Customer of another environment was taken")
	}
	if diff := cmp.Diff(map[string]string{
		"ann": customerNumber(1), "bob": customerNumber(2), `f,"f`: customerNumber(6), "kim": customerNumber(11),
	}, listAll(t, d, 100)); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
}

// conflicts returns lines in conflict with each other, or with ann's link to Customer
// 1.
func conflicts() string {
	return strings.Join([]string{
		"ann," + customerNumber(1), // there
		"ann," + customerNumber(2), // has another
		"zoe," + customerNumber(1), // is ann's
		"bob," + customerNumber(2),
		"bob," + customerNumber(2), // there by now
		"bob," + customerNumber(3),
		"zoe," + customerNumber(2), // is bob's
		"cid," + customerNumber(3),
		"ann," + customerNumber(3), // both are taken: the user's own link is named
	}, "\n")
}

func wantConflicts(t *testing.T, got imported, shift int) {
	t.Helper()
	bad := map[int]string{}
	for line, err := range map[int]error{
		2: customerdb.ErrUserLinked, 3: customerdb.ErrCustomerLinked, 6: customerdb.ErrUserLinked,
		7: customerdb.ErrCustomerLinked, 9: customerdb.ErrUserLinked,
	} {
		bad[line+shift] = err.Error()
	}
	wantImported(t, got, imported{Counts: customer.ImportCounts{Lines: 9 + shift, Linked: 2 + shift, There: 2, Bad: 5}, Bad: bad})
}

func firstConflictingLineWins(t *testing.T, open func() *customerdb.Database) {
	d := open()
	link(t, d, "ann", customerNumber(1))
	wantConflicts(t, importText(t, d, conflicts()), 0)
	wantCustomer(t, d, "bob", customerNumber(2))
	wantCustomer(t, d, "cid", customerNumber(3))
}

func dryRunReportsWithoutLinking(t *testing.T, open func() *customerdb.Database) {
	d := open()
	link(t, d, "ann", customerNumber(1))
	for range 2 {
		wantConflicts(t, tryOut(t, d, conflicts()), 0)
		if diff := cmp.Diff(map[string]string{"ann": customerNumber(1)}, listAll(t, d, 100)); diff != "" {
			t.Fatalf("links (-want +got):\n%s", diff)
		}
	}
}

// manyLines returns lines with new users and Customers.
func manyLines(n int) string {
	var lines strings.Builder
	for i := range n {
		fmt.Fprintf(&lines, "user %d,%s\n", i, customerNumber(1_000+i))
	}
	return lines.String()
}

func conflictsAreFoundAcrossBatches(t *testing.T, open func() *customerdb.Database) {
	d := open()
	link(t, d, "ann", customerNumber(1))
	const many = 2500
	text := manyLines(many) + conflicts()
	wantConflicts(t, tryOut(t, d, text), many)
	wantConflicts(t, importText(t, d, text), many)
	// Now the first line and its conflicts are in different batches.
	text = "new," + customerNumber(9_000) + "\n" + manyLines(many) + "new," + customerNumber(9_001) + "\nzoe," + customerNumber(9_000)
	want := imported{
		Counts: customer.ImportCounts{Lines: many + 3, Linked: 1, There: many, Bad: 2},
		Bad:    map[int]string{many + 2: customerdb.ErrUserLinked.Error(), many + 3: customerdb.ErrCustomerLinked.Error()},
	}
	wantImported(t, tryOut(t, d, text), want)
	wantImported(t, importText(t, d, text), want)
}

// A canceled import continues when it runs again.
func canceledImportCanRunAgain(t *testing.T, open func() *customerdb.Database) {
	d := open()
	const many = 2500
	broken := errors.New("the disk is on fire")
	run, _ := newImport(t)
	half := io.MultiReader(strings.NewReader(manyLines(2200)), iotest.ErrReader(broken))
	_, err := run.Run(t.Context(), d, half)
	wantError(t, err, broken)

	ctx, cancel := context.WithCancel(t.Context())
	run.Progress = func(customer.ImportCounts) { cancel() }
	_, err = run.Run(ctx, d, strings.NewReader(manyLines(many)))
	wantError(t, err, context.Canceled)

	got := importText(t, d, manyLines(many))
	if got.Counts.There < 2000 || got.Counts.Linked+got.Counts.There != many || got.Counts.Bad != 0 {
		t.Errorf("import: %+v", got)
	}
	if n := len(listAll(t, d, 1000)); n != many {
		t.Errorf("%d links, want %d", n, many)
	}
}

func progressIsReported(t *testing.T, open func() *customerdb.Database) {
	run, _ := newImport(t)
	var last customer.ImportCounts
	calls := 0
	run.Progress = func(now customer.ImportCounts) {
		if calls++; now.Lines < last.Lines {
			t.Errorf("from %+v to %+v", last, now)
		}
		last = now
	}
	got, err := run.Run(t.Context(), open(), strings.NewReader(manyLines(2500)))
	if err != nil || got != last || calls < 2 {
		t.Errorf("reported %+v in the end, after %d calls, and returned %+v (error %v)", last, calls, got, err)
	}
}

func exportCanBeImported(t *testing.T, open func() *customerdb.Database) {
	d := open()
	users := []string{
		"ann", "a,b", `a"b`, `"ab"`, `"`, "=1+1", "-1", "+1", "@x", "🦆", "é", `\.`, "user", "a;b", "#x", "'x'", "\ufffc",
	}
	want := map[string]string{}
	for i, user := range users {
		link(t, d, user, customerNumber(i))
		want[user] = customerNumber(i)
	}
	var file bytes.Buffer
	if n, err := customer.ExportCSV(t.Context(), d, &file); err != nil || n != len(users) {
		t.Fatalf("exported %d links (error %v), want %d", n, err, len(users))
	}
	for _, user := range users {
		unlink(t, d, user)
	}
	wantImported(t, importText(t, d, file.String()), imported{Counts: customer.ImportCounts{Lines: len(users), Linked: len(users)}})
	if diff := cmp.Diff(want, listAll(t, d, 100)); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
	importText(t, d, manyLines(2500))
	file.Reset()
	if n, err := customer.ExportCSV(t.Context(), d, &file); err != nil || n != len(users)+2500 || bytes.Count(file.Bytes(), []byte("\n")) != n+1 {
		t.Errorf("exported %d links (error %v), want %d", n, err, len(users)+2500)
	}
}
