package app

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"dropgate/internal/audit"
	"dropgate/internal/clienttoken"
	"dropgate/internal/handler"
)

const sessionsUsage = `usage: server sessions list -user USER [-json] [-operator NAME]
       server sessions end -user USER [-operator NAME]
       server sessions end -id ID [-operator NAME]

The commands ask the running service at ADMIN_ADDR, with a token of ADMIN_TOKEN, so
they work with each SESSION_STORE, and the audit trail has the token's name. They also
need HTTP_ADDR and ADMIN_TLS_CERT_FILE if the service has them. If ADMIN_TOKEN lists
several tokens, -operator names one. With SESSION_STORE=memory they see the sessions of
that replica alone`

// ErrSessionsUsage reports a wrong command line of `server sessions`. Its text is the
// usage.
var ErrSessionsUsage = errors.New(sessionsUsage)

// The bounds of `server sessions`.
const (
	sessionsWithin = 10 * time.Second
	maxSessions    = 1 << 20 // bytes of the answer
)

// Sessions runs `server sessions`. A wrong command line is ErrSessionsUsage, and a wrong
// configuration a *ConfigError.
func Sessions(ctx context.Context, args, environ []string, std Streams) error {
	command, err := parseSessions(args)
	if err != nil {
		return err
	}
	c, err := loadSessions(environ)
	if err != nil {
		return err
	}
	token, err := command.chooseToken(c.operators)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, sessionsWithin)
	defer cancel()
	body, err := c.askSessions(ctx, command, token)
	if err != nil {
		return err
	}
	return command.print(body, std)
}

// sessionsCommand is a command line of `server sessions`.
type sessionsCommand struct {
	name               string
	user, id, operator string
	json               bool
}

func parseSessions(args []string) (sessionsCommand, error) {
	if len(args) == 0 {
		return sessionsCommand{}, ErrSessionsUsage
	}
	c := sessionsCommand{name: args[0]}
	flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&c.user, "user", "", "")
	flags.StringVar(&c.operator, "operator", "", "")
	switch c.name {
	case "list":
		flags.BoolVar(&c.json, "json", false, "")
	case "end":
		flags.StringVar(&c.id, "id", "", "")
	default:
		return sessionsCommand{}, ErrSessionsUsage
	}
	if flags.Parse(args[1:]) != nil || flags.NArg() > 0 || (c.user == "") == (c.id == "") {
		return sessionsCommand{}, ErrSessionsUsage
	}
	return c, nil
}

// loadSessions reads the settings with the way to the admin listener.
func loadSessions(environ []string) (Config, error) {
	names := append(healthNames(), "ADMIN_TOKEN", "ADMIN_TOKEN_FILE")
	c, f := read(slices.DeleteFunc(slices.Clone(environ), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return !slices.Contains(names, name)
	}))
	f.check(c, checker.listeners)
	if strings.HasSuffix(c.AdminAddr, ":0") {
		f.add("ADMIN_ADDR", "has port 0, so the service chooses a free port; give it a fixed one")
	}
	if c.AdminToken.IsZero() && len(f) == 0 {
		f.add("ADMIN_TOKEN", "is required: the service asks operators for it")
	} else if len(f) == 0 {
		var err error
		c.operators, err = parseOperators(c.AdminToken)
		f.addError("ADMIN_TOKEN", err)
	}
	return c.unless(f)
}

// chooseToken returns the token of the operator that the command names. It never guesses:
// the audit trail has the name.
func (c sessionsCommand) chooseToken(all handler.Operators) (clienttoken.Secret, error) {
	if c.operator == "" && len(all) > 1 {
		return clienttoken.Secret{}, &ConfigError{Faults: []string{"ADMIN_TOKEN: has several tokens: name yours with -operator"}}
	}
	for _, one := range all {
		if c.operator == "" || one.Name == c.operator {
			return one.Token, nil
		}
	}
	return clienttoken.Secret{}, &ConfigError{Faults: []string{"ADMIN_TOKEN: has no token of this -operator"}}
}

// askSessions sends the command to the service, and returns its good answer.
func (c Config) askSessions(ctx context.Context, command sessionsCommand, token clienttoken.Secret) ([]byte, error) {
	method, path := http.MethodGet, "/sessions?"+url.Values{"user": {command.user}}.Encode()
	if command.name == "end" {
		method = http.MethodDelete
	}
	if command.id != "" {
		path = "/sessions/" + url.PathEscape(command.id)
	}
	r, err := c.adminRequest(ctx, method, path)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+token.Reveal())
	verify, err := c.onlyOwnCertificate()
	if err != nil {
		return nil, err
	}
	got, err := c.askAdmin(r, verify, maxSessions)
	if err != nil {
		return nil, fmt.Errorf("the admin listener at %s does not answer: %w", c.AdminAddr, err)
	}
	if got.status != http.StatusOK {
		return nil, got.refusal()
	}
	return got.body, nil
}

// onlyOwnCertificate accepts nothing but a certificate of ADMIN_TLS_CERT_FILE, because the
// request has a token. Names and dates do not matter then.
func (c Config) onlyOwnCertificate() (*tls.Config, error) {
	if c.AdminTLSCert == "" {
		return nil, nil //nolint:nilnil // the transport's zero value
	}
	text, err := os.ReadFile(c.AdminTLSCert)
	if err != nil {
		return nil, fmt.Errorf("ADMIN_TLS_CERT_FILE: %w", err)
	}
	first, _ := pem.Decode(text)
	return &tls.Config{
		MinVersion: tls.VersionTLS12, InsecureSkipVerify: true, //nolint:gosec // VerifyConnection compares the certificate
		VerifyConnection: func(s tls.ConnectionState) error {
			if first == nil || !bytes.Equal(s.PeerCertificates[0].Raw, first.Bytes) {
				return errors.New("its certificate is not that of ADMIN_TLS_CERT_FILE")
			}
			return nil
		},
	}, nil
}

// refusal is the error of an answer other than 200.
func (a answered) refusal() error {
	var said struct{ Code, Message string }
	if json.Unmarshal(a.body, &said) != nil || said.Code == "" {
		return fmt.Errorf("the admin listener answers %d: the service has no ADMIN_TOKEN, or another program is at ADMIN_ADDR", a.status)
	}
	return fmt.Errorf("%s: %s", audit.Printable(said.Code), audit.Printable(said.Message))
}

// print shows an answer.
func (c sessionsCommand) print(body []byte, std Streams) error {
	var said struct {
		Store    string
		More     bool
		Ended    int
		Sessions []struct {
			ID, User                                  string
			StartedAt, LastUsedAt, IdleEndsAt, EndsAt time.Time
		}
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return errors.New("the answer of the admin listener is not that of dropgate")
	}
	if c.name == "end" {
		_, err := fmt.Fprintf(std.Out, "%d sessions ended\n", said.Ended)
		return err //nolint:wrapcheck // of standard output
	}
	if said.Store == "memory" {
		_, _ = fmt.Fprintln(std.Err, "SESSION_STORE is memory: these are the sessions of this replica alone")
	}
	if c.json {
		_, err := std.Out.Write(body)
		return err //nolint:wrapcheck // likewise
	}
	table := tabwriter.NewWriter(std.Out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "ID\tUSER\tSTARTED\tLAST USED\tENDS IDLE\tENDS")
	for _, s := range said.Sessions {
		_, _ = fmt.Fprint(table, s.ID, "\t", s.User)
		for _, at := range []time.Time{s.StartedAt, s.LastUsedAt, s.IdleEndsAt, s.EndsAt} {
			text := "unknown"
			if !at.IsZero() {
				text = at.UTC().Format(time.RFC3339)
			}
			_, _ = fmt.Fprint(table, "\t", text)
		}
		_, _ = fmt.Fprintln(table)
	}
	if said.More {
		_, _ = fmt.Fprintln(std.Err, "there may be more sessions than these")
	}
	return table.Flush() //nolint:wrapcheck // likewise
}
