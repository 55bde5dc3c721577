package app

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"dropgate/internal/handler"
)

// healthWithin bounds the whole check. The service itself gives its own checks two
// seconds.
const healthWithin = 3 * time.Second

// maxHealth bounds the answer, in bytes.
const maxHealth = 64 << 10

// healthNames are the settings with the way to the admin listener. The check reads no
// other: a secret file in the middle of a rotation must not make a running service look
// unhealthy.
func healthNames() []string {
	return []string{"HTTP_ADDR", "ADMIN_ADDR", "ADMIN_TLS_CERT_FILE"}
}

// CheckHealth asks the running service with these environment variables whether it is
// ready. It returns one line with the missing dependencies. Any error means "not ready"
// or "no answer"; a *ConfigError means settings without a way to the admin listener.
func CheckHealth(ctx context.Context, environ []string) (string, error) {
	c, f := read(slices.DeleteFunc(slices.Clone(environ), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return !slices.Contains(healthNames(), name)
	}))
	f.check(c, checker.listeners)
	if _, port, err := net.SplitHostPort(c.AdminAddr); err == nil && port == "0" {
		f.add("ADMIN_ADDR", "has port 0, so the service chooses a free port; give it a fixed one")
	}
	if len(f) > 0 {
		return "", &ConfigError{Faults: f.sorted()}
	}
	ctx, cancel := context.WithTimeout(ctx, healthWithin)
	defer cancel()
	resp, err := c.askReadiness(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no answer within %s", healthWithin)
	}
	if err != nil {
		return "", fmt.Errorf("the admin listener at %s does not answer: %w", c.AdminAddr, err)
	}
	return health(resp)
}

// adminRequest returns a request to the admin listener.
func (c Config) adminRequest(ctx context.Context, method, path string) (*http.Request, error) {
	scheme := "http"
	if c.AdminTLSCert != "" {
		scheme = "https"
	}
	return http.NewRequestWithContext(ctx, method, scheme+"://localhost"+path, http.NoBody) //nolint:wrapcheck // never fails: every part is valid
}

// askAdmin sends a request to the address of the admin listener, and reads at most a
// number of bytes of the answer.
func (c Config) askAdmin(r *http.Request, verify *tls.Config, most int64) (answered, error) {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", c.AdminAddr)
		},
		TLSClientConfig:   verify,
		DisableKeepAlives: true,
	}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		return answered{}, err //nolint:wrapcheck // the caller wraps it
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, most))
	return answered{resp.StatusCode, body}, err //nolint:wrapcheck // likewise
}

// askReadiness connects to the address of the admin listener. For a wildcard address, the
// dialer takes this machine. The Host is localhost: the listener accepts it whatever
// ADMIN_HOSTS lists.
func (c Config) askReadiness(ctx context.Context) (answered, error) {
	r, err := c.adminRequest(ctx, http.MethodGet, "/readyz")
	if err != nil {
		return answered{}, err
	}
	// The certificate bears a public name, not this address, and may have expired. The
	// request holds no secret, and it does not leave the machine.
	unverified := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true} //nolint:gosec // see above
	return c.askAdmin(r, unverified, maxHealth)
}

// answered is an answer of the admin listener.
type answered struct {
	status int
	body   []byte
}

// health puts an answer of /readyz into one line. Only dropgate's own answer counts:
// another program may have the port.
func health(a answered) (string, error) {
	var said struct {
		Status, Reason string
		Missing        []handler.Missing
	}
	err := json.Unmarshal(a.body, &said)
	switch {
	case err == nil && a.status == http.StatusOK && said.Status == "ready":
		return listMissing(said.Missing), nil
	case err == nil && a.status == http.StatusServiceUnavailable && said.Status == "not ready":
		return "", fmt.Errorf("not ready: %s", said.Reason)
	}
	return "", fmt.Errorf("/readyz answers with status %d, and not as dropgate does: is another program at ADMIN_ADDR?", a.status)
}

// listMissing names what a ready service can do without.
func listMissing(missing []handler.Missing) string {
	if len(missing) == 0 {
		return "ready"
	}
	var names []string
	for _, m := range missing {
		names = append(names, m.What+" ("+m.Reason+")")
	}
	return "ready; missing: " + strings.Join(names, ", ")
}
