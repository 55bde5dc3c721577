package app

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

const doctorUsage = `usage: server doctor [-json] [-user USER] [-forwarded ADDRESSES]

doctor tries the whole configuration against Dwolla, the identity provider, the
stores and the application, and prints what is wrong and how to repair it. It
changes nothing: test writes are taken back at once.

-user looks up the Customer of this user. -forwarded is the value of
X-Forwarded-For as the proxy sends it`

// ErrDoctorUsage reports a wrong command line of `server doctor`.
var ErrDoctorUsage = errors.New(doctorUsage)

// The times of `server doctor`. All checks run at once.
const (
	doctorWithin = 10 * time.Second // for each check
	doctorGrace  = 2 * time.Second  // for a check to notice the end of its time
)

// verdict is one line of the doctor's report. It holds no secret.
type verdict struct {
	Part   string `json:"part"`
	Status string `json:"status"` // good, failed or note
	Detail string `json:"detail"`
	Hint   string `json:"hint,omitempty"` // how to repair a failure
}

func good(format string, arguments ...any) verdict {
	return verdict{Status: "good", Detail: fmt.Sprintf(format, arguments...)}
}

func note(format string, arguments ...any) verdict {
	return verdict{Status: "note", Detail: fmt.Sprintf(format, arguments...)}
}

func bad(hint, format string, arguments ...any) verdict {
	return verdict{Status: "failed", Detail: fmt.Sprintf(format, arguments...), Hint: hint}
}

// doctorCheck tries one part of the configuration.
type doctorCheck struct {
	part string
	used bool
	try  func(context.Context) []verdict
}

// doctor tries a configuration.
type doctor struct {
	*App

	asJSON          bool
	user, forwarded string
}

// Doctor runs `server doctor`. The error is ErrDoctorUsage, a *ConfigError, or the number
// of failed checks.
func Doctor(ctx context.Context, args, environ []string, out io.Writer) error {
	var d doctor
	flags := flag.NewFlagSet("doctor", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.BoolVar(&d.asJSON, "json", false, "")
	flags.StringVar(&d.user, "user", "", "")
	flags.StringVar(&d.forwarded, "forwarded", "", "")
	if flags.Parse(args) != nil || flags.NArg() > 0 {
		return ErrDoctorUsage
	}
	c, err := Load(environ)
	if err != nil {
		return err
	}
	d.App = &App{config: c, log: zerolog.Nop(), egress: c.newTransport()}
	d.live.Store(&c)
	defer d.egress.CloseIdleConnections()
	return d.report(out, d.examine(ctx))
}

func (d *doctor) checks() []doctorCheck {
	c := d.config
	uses := func(mode string) bool { return slices.Contains(c.AuthModes, mode) }
	return []doctorCheck{
		{"dwolla", true, d.tryDwolla},
		{"identity provider", uses("bearer") || uses("oidc"), d.tryProvider},
		{"redirect URI", uses("oidc"), d.tryRedirect},
		{"redis", c.redis != nil, d.tryRedis},
		{"database", c.keepsData(), d.tryDatabase},
		{"customer source", true, d.trySource},
		{"application", uses("forward"), d.tryForward},
		{"proxy", d.forwarded != "", d.tryForwarded},
		{"certificates", c.TLSCert != "" || c.AdminTLSCert != "", d.tryCertificates},
	}
}

// examine runs all checks at once.
func (d *doctor) examine(ctx context.Context) []verdict {
	checks := slices.DeleteFunc(d.checks(), func(c doctorCheck) bool { return !c.used })
	found := make([][]verdict, len(checks))
	var all sync.WaitGroup
	for i, check := range checks {
		all.Go(func() { found[i] = check.within(ctx, doctorWithin) })
	}
	all.Wait()
	return slices.Concat(found...)
}

// within runs a check for at most this long, even if the check does not notice the end.
func (c doctorCheck) within(ctx context.Context, limit time.Duration) []verdict {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := make(chan []verdict, 1)
	go func() { done <- c.try(ctx) }()
	var found []verdict
	select {
	case found = <-done:
	case <-time.After(limit + doctorGrace):
		found = []verdict{bad("check the network between this machine and the server", "no answer within %s", limit)}
	}
	for i := range found {
		found[i].Part = c.part
	}
	return found
}

// report prints the findings. The error counts the failures.
func (d *doctor) report(out io.Writer, found []verdict) error {
	failures := 0
	for _, f := range found {
		if f.Status == "failed" {
			failures++
		}
	}
	if err := d.print(out, found); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if failures > 0 {
		return fmt.Errorf("failed checks: %d", failures)
	}
	return nil
}

func (d *doctor) print(out io.Writer, found []verdict) error {
	if d.asJSON {
		return json.NewEncoder(out).Encode(map[string]any{"checks": found}) //nolint:wrapcheck // report adds a word
	}
	for _, f := range found {
		line := fmt.Sprintf("%-18s %-7s %s\n", f.Part, f.Status, f.Detail)
		if f.Hint != "" {
			line += fmt.Sprintf("%-26s -> %s\n", "", f.Hint)
		}
		if _, err := io.WriteString(out, line); err != nil {
			return err //nolint:wrapcheck // likewise
		}
	}
	return nil
}

// get reads a page, without following a redirect. The answer's body is cut.
func (d *doctor) get(ctx context.Context, address string, header http.Header) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, errors.New("the address is malformed") // err quotes it
	}
	r.Header = header
	return d.egress.RoundTrip(r) //nolint:wrapcheck // reasonOf classifies it
}

// registry returns one for parts that want to count.
func (d *doctor) registry() *prometheus.Registry { return prometheus.NewRegistry() }
