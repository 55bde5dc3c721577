package app

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
	"dropgate/internal/customer/customerdb"
)

// customersUsage is the help of `server customers`.
const customersUsage = `usage: server customers import [-dry-run] FILE.csv|-
       server customers export
       server customers link USER CUSTOMER
       server customers unlink USER
       server customers show USER

The commands work on the links of CUSTOMER_SOURCE=database. They need
DWOLLA_ENVIRONMENT and DATABASE_URL, and also DWOLLA_BASE_URL and AUTH_USER_CLAIM
if the service has them (with email, the case of USER does not matter). Running
services see a change within a second, and one of them writes its audit entry.
CUSTOMER is an id or a URL.

import reads lines of user,customer, with or without a header line, and skips bad
lines. It never changes an existing link, so it can be run again. export writes
the format that import reads`

// ErrUsage reports a wrong command line. Its text is the usage.
var ErrUsage = errors.New(customersUsage)

// Streams are the standard streams of a command.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Customers runs `server customers`, the tools for the directory. A wrong command
// line is ErrUsage, and a wrong configuration a *ConfigError.
func Customers(ctx context.Context, args, environ []string, std Streams) error {
	command, err := parseCustomers(args)
	if err != nil {
		return err
	}
	c, err := loadDirectory(environ)
	if err != nil {
		return err
	}
	if err := command.checkFile(&c); err != nil {
		return err
	}
	store, err := c.openDatabase(ctx)
	if store != nil {
		defer func() { _ = store.Close() }()
	}
	if err != nil {
		return fmt.Errorf("DATABASE_URL: %w", err)
	}
	d := directoryTools{
		api: c.api, store: store, std: std,
		records: customer.LinkAdmin{API: c.api, Links: customer.NewLinkSource(c.api, store, 0), Store: store},
	}
	ctx = clienttoken.Cause{Mode: "command", Operator: osUser()}.NewContext(ctx)
	switch command.name {
	case "import":
		return d.load(ctx, command)
	case "export":
		return d.export(ctx)
	case "link":
		return d.link(ctx, command.args[0], command.args[1])
	case "unlink":
		return d.unlink(ctx, command.args[0])
	default:
		return d.show(ctx, command.args[0])
	}
}

// osUser is the operating-system user of the process, for the audit trail. A user
// without a name, as in many containers, is shown by number. Environment variables
// do not count: the caller can set them.
func osUser() string {
	if u, err := user.LookupId(strconv.Itoa(os.Getuid())); err == nil && u.Username != "" {
		return u.Username
	}
	return "uid " + strconv.Itoa(os.Getuid())
}

// customersCommand is a command line of `server customers`.
type customersCommand struct {
	name   string
	args   []string
	dryRun bool
}

func parseCustomers(args []string) (customersCommand, error) {
	if len(args) == 0 {
		return customersCommand{}, ErrUsage
	}
	c := customersCommand{name: args[0]}
	flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	if c.name == "import" {
		flags.BoolVar(&c.dryRun, "dry-run", false, "")
	}
	if flags.Parse(args[1:]) != nil {
		return customersCommand{}, ErrUsage
	}
	c.args = flags.Args()
	takes, known := map[string]int{"import": 1, "export": 0, "link": 2, "unlink": 1, "show": 1}[c.name]
	if !known || len(c.args) != takes {
		return customersCommand{}, ErrUsage
	}
	return c, nil
}

// checkFile demands an existing file for all commands but import and link. A
// mistyped name would create an empty directory, and its export would look like a
// good backup.
func (c customersCommand) checkFile(config *Config) error {
	if c.name == "import" || c.name == "link" || config.isPostgres() {
		return nil
	}
	if _, err := os.Stat(strings.TrimPrefix(config.DatabaseURL.Reveal(), "sqlite:")); err != nil {
		return fmt.Errorf("DATABASE_URL: %w", err)
	}
	return nil
}

// directoryTools implements the commands.
type directoryTools struct {
	api     clienttoken.API
	store   *customerdb.Database
	records customer.LinkAdmin
	std     Streams
}

func (d directoryTools) link(ctx context.Context, user, idOrURL string) error {
	if err := checkUserID(user); err != nil {
		return err
	}
	url, err := clienttoken.ParseCustomer(d.api, idOrURL)
	if err != nil {
		return fmt.Errorf("CUSTOMER: %w", err)
	}
	if err := d.records.Link(ctx, user, url); err != nil {
		return err
	}
	return d.show(ctx, user)
}

func (d directoryTools) unlink(ctx context.Context, user string) error {
	if err := d.checkStored(ctx, user); err != nil {
		return err
	}
	return d.records.Unlink(ctx, user)
}

func (d directoryTools) show(ctx context.Context, user string) error {
	if err := d.checkStored(ctx, user); err != nil {
		return err
	}
	found, err := d.records.Find(ctx, user)
	if errors.Is(err, clienttoken.ErrNoCustomer) {
		return fmt.Errorf("user %q: %w", user, err)
	} else if err != nil {
		return err
	}
	status := cmp.Or(string(found.Customer.Status), "unknown")
	_, err = fmt.Fprintf(d.std.Out, "user      %s\ncustomer  %s\nstatus    %s\nlinked    %s\n",
		found.UserID, found.Customer.URL, status, found.Since.UTC().Format(time.RFC3339))
	return err //nolint:wrapcheck // of standard output
}

// checkStored is like checkUserID, but also accepts the id of an old row, from
// before the rules for ids became stricter.
func (d directoryTools) checkStored(ctx context.Context, arg string) error {
	if err := checkUserID(arg); err == nil || !clienttoken.StorableUserID(arg) {
		return err
	}
	_, err := d.records.Find(ctx, arg)
	if errors.Is(err, clienttoken.ErrNoCustomer) {
		return checkUserID(arg)
	}
	return err
}

func checkUserID(arg string) error {
	if err := clienttoken.CheckUserID(arg); err != nil {
		return fmt.Errorf("USER: %w", err)
	}
	return nil
}

// load is the import. It reports each bad line at once, and returns an error if
// there was one.
func (d directoryTools) load(ctx context.Context, c customersCommand) error {
	from := d.std.In
	if name := c.args[0]; name != "-" {
		file, err := os.Open(name) //nolint:gosec // the operator names it
		if err != nil {
			return err //nolint:wrapcheck // an *fs.PathError names the file
		}
		defer func() { _ = file.Close() }()
		from = file
	}
	done, err := customer.CSVImport{
		API: d.api, DryRun: c.dryRun,
		Bad: func(line int, reason error) {
			_, _ = fmt.Fprintf(d.std.Err, "%sline %d: %v\n", d.std.clear(), line, reason)
		},
		Progress: func(so customer.ImportCounts) { d.std.progress(so.Lines) },
	}.Run(ctx, d.store, from)
	linked := "linked"
	if c.dryRun {
		linked = "would be linked"
	}
	_, _ = fmt.Fprintf(d.std.Err, "%s%d lines: %d %s, %d there already, %d bad\n",
		d.std.clear(), done.Lines, done.Linked, linked, done.There, done.Bad)
	switch {
	case err != nil:
		return fmt.Errorf("the import ended early, and can be run again: %w", err)
	case done.Bad > 0:
		return fmt.Errorf("%d bad lines", done.Bad)
	}
	return nil
}

// terminal reports whether messages go to a terminal.
func (s Streams) terminal() bool {
	file, ok := s.Err.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// progress shows the number of lines on a terminal.
func (s Streams) progress(lines int) {
	if s.terminal() {
		_, _ = fmt.Fprintf(s.Err, "\r%d lines", lines)
	}
}

// clear returns the text to erase the progress from a terminal.
func (s Streams) clear() string {
	if s.terminal() {
		return "\r\x1b[K"
	}
	return ""
}

func (d directoryTools) export(ctx context.Context) error {
	_, err := customer.ExportCSV(ctx, d.store, d.std.Out)
	return err
}
