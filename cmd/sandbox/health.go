package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// healthWithin bounds the check of all parts together.
const healthWithin = 3 * time.Second

// checkHealth asks each of the running parts: the emulator for an access token, the others
// for a page. It prints one line, or returns the first fault.
func (o options) checkHealth(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, healthWithin)
	defer cancel()
	for part := range strings.SplitSeq(o.healthcheck, ",") {
		q, err := o.question(ctx, strings.TrimSpace(part))
		if err != nil {
			return err
		}
		if err := q.ask(); err != nil {
			return fmt.Errorf("%s at %s: %w", part, q.addr, err)
		}
	}
	_, _ = fmt.Fprintln(out, o.healthcheck, "healthy")
	return nil
}

// question is a request for a part, and the part's own address.
type question struct {
	*http.Request

	addr string
}

func (o options) question(ctx context.Context, part string) (question, error) {
	method, at, addr, form := http.MethodGet, "", "", ""
	switch part {
	case onlyEmulator:
		method, at, addr, form = http.MethodPost, "http://localhost/token", o.emulatorAddr, "grant_type=client_credentials"
	case onlyProvider:
		at, addr = "http://localhost/.well-known/openid-configuration", o.providerAddr
	case onlyPage:
		at, addr = o.publicURL()+"/", o.httpAddr
	default:
		return question{}, fmt.Errorf("-healthcheck %q: the parts are emulator, provider and page", part)
	}
	r, err := http.NewRequestWithContext(ctx, method, at, strings.NewReader(form)) //nolint:gosec // our own flags name it
	if err != nil {
		return question{}, err //nolint:wrapcheck // never: the URLs have been checked
	}
	if form != "" {
		r.SetBasicAuth(demoClientID, demoClientSecret)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return question{r, addr}, nil
}

// ask sends the request to the address, whatever its URL says. For a wildcard address,
// the dialer takes this machine.
func (q question) ask() error {
	resp, err := rerouted(map[string]string{hostOf(q.URL.String()): q.addr}).RoundTrip(q.Request)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %s", healthWithin)
	} else if err != nil {
		return err //nolint:wrapcheck // the caller wraps it
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers with status %d", q.URL.Path, resp.StatusCode)
	}
	return nil
}

// rerouted is a transport with other addresses for some of the hosts. A part uses it for
// URLs made for browsers.
func rerouted(to map[string]string) http.RoundTripper {
	return &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if other, known := to[addr]; known {
				addr = other
			}
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		},
		DisableKeepAlives: true,
	}
}

// hostOf is HOST:PORT of a checked URL.
func hostOf(address string) string {
	at, err := url.Parse(address)
	if err != nil {
		return ""
	}
	if at.Port() != "" {
		return at.Host
	}
	return net.JoinHostPort(at.Hostname(), map[string]string{"http": "80", "https": "443"}[at.Scheme])
}
