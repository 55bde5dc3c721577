package app_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dropgate/internal/app"
)

const bobsCustomer = "22222222-2222-4222-8222-222222222222"

// tools are the commands for one database.
type tools struct {
	t       *testing.T
	environ []string
}

// newTools needs no more settings than the commands' own help says.
func newTools(t *testing.T, databaseURL string) tools {
	t.Helper()
	return tools{t, []string{"DWOLLA_ENVIRONMENT=sandbox", "DATABASE_URL=" + databaseURL}}
}

// onEach runs a test with each kind of database.
func onEach(t *testing.T, test func(t *testing.T, d tools)) {
	t.Helper()
	for name, database := range directories() {
		t.Run(name, func(t *testing.T) { test(t, newTools(t, database(t))) })
	}
}

// said is the output and the error of a command.
type said struct {
	out, err string
	fault    error
}

// run runs a command with an empty standard input.
func (d tools) run(args ...string) said {
	d.t.Helper()
	return d.pipe("", args...)
}

// pipe runs a command with text as its standard input.
func (d tools) pipe(text string, args ...string) said {
	d.t.Helper()
	var out, errs bytes.Buffer
	fault := app.Customers(d.t.Context(), args, d.environ, app.Streams{In: strings.NewReader(text), Out: &out, Err: &errs})
	return said{out.String(), errs.String(), fault}
}

// good runs a command that must succeed, and returns its standard output.
func (d tools) good(args ...string) string {
	d.t.Helper()
	got := d.run(args...)
	if got.fault != nil {
		d.t.Fatalf("%q: %v\n%s", args, got.fault, got.err)
	}
	return got.out
}

// holds fails the test unless these are the links: lines of an export.
func (d tools) holds(want ...string) {
	d.t.Helper()
	links := strings.Split(strings.TrimSuffix(d.good("export"), "\n"), "\n")
	if diff := cmp.Diff(append([]string{"user,customer"}, want...), links); diff != "" {
		d.t.Errorf("links (-want +got):\n%s", diff)
	}
}

// file is a CSV file.
func file(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "links.csv")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestCommandsLinkShowAndUnlink(t *testing.T) {
	onEach(t, func(t *testing.T, d tools) {
		linked := d.good("link", "ann", strings.ToUpper(alicesCustomer))
		want := "user      ann\ncustomer  https://api-sandbox.dwolla.com/customers/" + alicesCustomer + "\nstatus    unknown\nlinked    20"
		if !strings.HasPrefix(linked, want) {
			t.Errorf("link: %s, want %s", linked, want)
		}
		if shown := d.good("show", "ann"); shown != linked {
			t.Errorf("show: %s, want %s", shown, linked)
		}
		d.good("link", "ann", "https://api-sandbox.dwolla.com/customers/"+alicesCustomer) // which it is
		d.good("link", "--", "-b", bobsCustomer)
		d.holds("'-b,"+bobsCustomer, "ann,"+alicesCustomer)
		for range 2 { // the second time there is none
			if out := d.good("unlink", "ann"); out != "" {
				t.Errorf("unlink: %q", out)
			}
		}
		if got := d.run("show", "ann"); got.out != "" || got.fault == nil || got.fault.Error() != `user "ann": no Customer is linked to this user` {
			t.Errorf("a user without a Customer: %+v", got)
		}
		d.good("link", "zoe", alicesCustomer)
		d.holds("'-b,"+bobsCustomer, "zoe,"+alicesCustomer)
	})
}

// The command has no audit trail: the next service with its database has.
func TestServiceAuditsChangesByCommands(t *testing.T) {
	me, err := user.LookupId(strconv.Itoa(os.Getuid()))
	if err != nil {
		t.Fatal(err)
	}
	for name, database := range directories() {
		t.Run(name, func(t *testing.T) {
			url := database(t)
			d := newTools(t, url)
			d.good("link", "ann", alicesCustomer)
			d.good("import", file(t, "bob,"+bobsCustomer+"\nann,"+alicesCustomer))
			d.good("import", "-dry-run", file(t, "carl,33333333-3333-4333-8333-333333333333"))
			d.good("unlink", "ann")
			d.good("unlink", "ann")
			s := operated(t, url)
			until(t, "the audit", func() bool { return len(s.logs.lines(t, "audit")) == 3 })
			var got []string
			for _, line := range s.logs.lines(t, "audit") {
				got = append(got, fmt.Sprint(line["event"], " ", line["mode"], " ", line["operator"], " ", line["user"], " ", line["customer"]))
				at, err := time.Parse(time.RFC3339, fmt.Sprint(line["changed_at"]))
				if line["id"] == "" || err != nil || time.Since(at).Abs() > time.Minute {
					t.Errorf("an entry without an id or the time of its change: %v", line)
				}
			}
			want := []string{
				"link command " + me.Username + " ann " + alicesCustomer, "link command " + me.Username + " bob " + bobsCustomer,
				"unlink command " + me.Username + " ann " + alicesCustomer,
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("audit (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLinkCommandKeepsExistingLinks(t *testing.T) {
	onEach(t, func(t *testing.T, d tools) {
		d.good("link", "ann", alicesCustomer)
		for want, args := range map[string][]string{
			"the user is linked to another Customer":      {"ann", bobsCustomer},
			"the Customer is linked to another user":      {"bob", alicesCustomer},
			"is not the id of a Customer":                 {"bob", "nonsense"},
			"CUSTOMER: ":                                  {"bob", "https://api.dwolla.com/customers/" + bobsCustomer},
			"USER: the user id is not 1 to 255 printable": {"b\x00b", bobsCustomer},
		} {
			got := d.run("link", args[0], args[1])
			if got.out != "" || got.fault == nil || !strings.Contains(got.fault.Error(), want) || errors.Is(got.fault, app.ErrUsage) {
				t.Errorf("link %q: %+v, want %s", args, got, want)
			}
		}
		d.holds("ann," + alicesCustomer)
	})
}

// mixed is a file with good lines and bad ones.
const mixed = "user,customer\n" +
	"ann," + alicesCustomer + "\n" +
	"bob\n" +
	"\n" +
	"bob,nonsense\n" +
	"zoe," + alicesCustomer + "\n" + // ann's
	"bob," + bobsCustomer + "\n"

func TestImportReportsBadLinesAndContinues(t *testing.T) {
	want := []string{
		"line 3: 1 fields, want 2: a user id and a Customer",
		`line 5: "nonsense" is not the id of a Customer`,
		"line 6: CustomerAlreadyLinked: the Customer is linked to another user",
	}
	onEach(t, func(t *testing.T, d tools) {
		for _, times := range []struct{ how, total string }{
			{"-dry-run", "5 lines: 2 would be linked, 0 there already, 3 bad"},
			{"--", "5 lines: 2 linked, 0 there already, 3 bad"},
			{"--", "5 lines: 0 linked, 2 there already, 3 bad"}, // again: nothing is changed
			{"-dry-run", "5 lines: 0 would be linked, 2 there already, 3 bad"},
		} {
			got := d.run("import", times.how, file(t, mixed))
			if got.fault == nil || got.fault.Error() != "3 bad lines" || got.out != "" {
				t.Errorf("%+v", got)
			}
			if diff := cmp.Diff(append(slices.Clone(want), times.total, ""), strings.Split(got.err, "\n")); diff != "" {
				t.Errorf("messages (-want +got):\n%s", diff)
			}
			if times.how == "-dry-run" && strings.Contains(times.total, " 0 there") {
				d.holds() // nothing
			} else {
				d.holds("ann,"+alicesCustomer, "bob,"+bobsCustomer)
			}
		}
	})
}

// many are links of many users, as an export writes them.
func many(n int) string {
	var text strings.Builder
	text.WriteString("user,customer\n")
	for i := range n {
		fmt.Fprintf(&text, "user %05d,%08d-0000-4000-8000-000000000000\n", i, i)
	}
	return text.String()
}

// imports links that must all be accepted.
func (d tools) imports(links, want string) {
	d.t.Helper()
	got := d.pipe(links, "import", "-")
	if got.fault != nil || !strings.Contains(got.err, want) || !strings.HasSuffix(got.err, " 0 bad\n") {
		d.t.Errorf("%+v, want %s", got, want)
	}
}

func TestExportCanBeImportedElsewhere(t *testing.T) {
	onEach(t, func(t *testing.T, d tools) {
		const links = 4500 // some batches
		d.imports(many(links), "4500 linked, 0 there")
		d.imports(many(links), "0 linked, 4500 there")
		got := d.pipe(many(links)+"zoe,nonsense\n", "import", "-dry-run", "-")
		if got.fault == nil || !strings.Contains(got.err, "line 4502: ") {
			t.Errorf("%+v", got)
		}
		d.good("link", `o'hara, "ann"`, alicesCustomer)
		d.good("link", `=cmd|' /C calc'!A0`, bobsCustomer)
		exported := d.good("export")
		if !strings.Contains(exported, "\n'=cmd|") {
			t.Error("a spreadsheet would execute a user id")
		}
		other := newTools(t, "sqlite:"+filepath.Join(t.TempDir(), "other.db"))
		if got := other.pipe(exported, "import", "-"); got.fault != nil {
			t.Fatalf("%+v", got)
		}
		if again := other.good("export"); again != exported || strings.Count(again, "\n") != links+3 {
			t.Errorf("the other database has %d lines, and they are not the same", strings.Count(again, "\n"))
		}
	})
}

// brokenReader fails like a broken disk.
type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("the disk is on fire") }

func TestInterruptedImportSaysHowFarItGot(t *testing.T) {
	onEach(t, func(t *testing.T, d tools) {
		var errs bytes.Buffer
		from := io.MultiReader(strings.NewReader(many(2500)), brokenReader{})
		err := app.Customers(t.Context(), []string{"import", "-"}, d.environ, app.Streams{In: from, Err: &errs})
		if err == nil || !strings.Contains(err.Error(), "can be run again: ") || !strings.Contains(err.Error(), "on fire") {
			t.Errorf("error %v", err)
		}
		if got := d.pipe(many(2500), "import", "-"); got.fault != nil || !strings.Contains(got.err, "2500 lines: 500 linked, 2000 there") {
			t.Errorf("once more: %+v", got)
		}
	})
}

func TestWrongCommandLinePrintsUsage(t *testing.T) {
	d := newTools(t, "sqlite:"+filepath.Join(t.TempDir(), "links.db"))
	for _, line := range []string{
		"", "lists", "-dry-run", "-h", "import", "import -h", "import a.csv b.csv", "import a.csv -dry-run", "import -dryrun a.csv", "export all",
		"export -dry-run", "link ann", "link", "link ann x y", "unlink", "unlink ann bob", "unlink -b", "show", "show ann bob", "show -x ann",
	} {
		got := d.run(strings.Fields(line)...)
		if !errors.Is(got.fault, app.ErrUsage) || got.out+got.err != "" {
			t.Errorf("%q: %+v, want ErrUsage", line, got)
		}
	}
	if !strings.HasPrefix(app.ErrUsage.Error(), "usage: server customers import [-dry-run] FILE.csv|-\n") {
		t.Errorf("usage %s", app.ErrUsage)
	}
}

func TestImportOfMissingFileFails(t *testing.T) {
	onEach(t, func(t *testing.T, d tools) {
		got := d.run("import", "/no/such/links.csv")
		if !errors.Is(got.fault, os.ErrNotExist) || !strings.Contains(got.fault.Error(), "/no/such/links.csv") {
			t.Errorf("%+v", got)
		}
		d.holds()
	})
}
