package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"dropgate/bench/scratch"
)

// measureAgainst compares the server of another revision with this tree's, and with
// itself, which shows the noise of a ratio. The same users come with bearer tokens and
// with sessions, first without stores, then with Redis and PostgreSQL. Each server
// fills its own stores, because schemas differ between revisions.
func measureAgainst(ctx context.Context, s *stage, o options, out, progress io.Writer) error {
	old, err := s.buildRevision(ctx, o.against)
	if err != nil {
		return err
	}
	servers := []revision{{"this tree", s.server}, {o.against, old}, {o.against + " again", old}}
	b, err := s.startBackends(ctx, 0)
	if err != nil {
		return err
	}
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format+"\n", args...) }
	line("%d rounds of %s after %s of warm-up; the servers take turns of %s; ratios are medians of neighboring turns.", o.rounds, o.duration, o.warmup, turn)
	stores := []struct{ title, postgres string }{{"alone", ""}, {"with Redis and PostgreSQL", o.postgres}}
	if o.postgres == "" {
		line("\nSkipped: Redis and PostgreSQL, because TEST_POSTGRES_URL is not set.")
		stores = stores[:1]
	}
	for _, in := range stores {
		p := &part{title: in.title, connections: []int{16, 64}}
		for _, r := range servers {
			targets, err := s.startRevision(ctx, b, r, in.postgres)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", r.name, p.title, err)
			}
			p.targets = append(p.targets, targets...)
		}
		if err := p.measure(ctx, s, o, progress); err != nil {
			return err
		}
		p.end()
		p.printAgainst(line, servers)
	}
	return nil
}

// revision is a server binary. Without PostgreSQL it keeps everything in memory.
type revision struct{ name, binary string }

// buildRevision builds the server of a git revision of this repository.
func (s *stage) buildRevision(ctx context.Context, rev string) (string, error) {
	if !regexp.MustCompile(`^[\w./~^-]+$`).MatchString(rev) || strings.HasPrefix(rev, "-") {
		return "", fmt.Errorf("%q is not a revision", rev)
	}
	dir := filepath.Join(s.dir, "against")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", fmt.Errorf("making a folder: %w", err)
	}
	archive := filepath.Join(s.dir, "against.tar")
	binary := filepath.Join(s.dir, "server-against")
	for _, command := range [][]string{
		{"git", "archive", "-o", archive, rev},
		{"tar", "-xf", archive, "-C", dir},
		{"go", "-C", dir, "build", "-tags", s.tags, "-o", binary, "./cmd/server"},
	} {
		cmd := exec.CommandContext(ctx, command[0], command[1:]...) //nolint:gosec // the user's own revision
		if said, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, said)
		}
	}
	return binary, nil
}

// startRevision starts a server for both bearer tokens and sessions. It returns two
// targets, one for each.
func (s *stage) startRevision(ctx context.Context, b backends, r revision, postgres string) ([]*target, error) {
	like := b.recipeForSessions(r.name+", bearer", b.bearer)
	like.env = append(like.env, "AUTH_MODES=bearer,oidc", "AUTH_BEARER_ISSUER="+b.Issuer, "AUTH_BEARER_AUDIENCE="+audience)
	if postgres == "" {
		like.env = append(like.env, "CUSTOMER_SOURCE=claim", "SESSION_STORE=memory")
	} else {
		env, err := s.storesOf(ctx, r, postgres)
		if err != nil {
			return nil, err
		}
		like.env = append(like.env, env...)
	}
	present := s.server
	s.server = r.binary
	server, _, err := s.startServer(ctx, b, like)
	s.server = present
	if err != nil {
		return nil, err
	}
	sessions := *server
	sessions.name = r.name + ", session"
	sessions.credentials = nil
	for i := range signedIn {
		cookie, err := server.signIn(ctx, userName(i))
		if err != nil {
			return nil, fmt.Errorf("signing %s in: %w", userName(i), err)
		}
		sessions.credentials = append(sessions.credentials, "Cookie: "+sessionCookie+"="+cookie)
	}
	return []*target{server, &sessions}, nil
}

// signedIn is the number of users who sign in at each server. It stays below the limit
// on sign-ins from one address.
const signedIn = 20

// storesOf creates a Redis and a schema for a server, which migrates the schema itself.
// It returns the server's settings.
func (s *stage) storesOf(ctx context.Context, r revision, postgres string) ([]string, error) {
	redis, err := s.startRedis(ctx)
	if err != nil {
		return nil, err
	}
	if redis == nil {
		return nil, errNoStores
	}
	schema, err := scratch.NewSchema(ctx, postgres)
	if err != nil {
		return nil, fmt.Errorf("TEST_POSTGRES_URL: %w", err)
	}
	s.schemas = append(s.schemas, schema)
	var links strings.Builder
	links.WriteString("user,customer\n")
	for i := range users {
		_, _ = fmt.Fprintf(&links, "%s,%s\n", userName(i), customerID(i))
	}
	fill := exec.CommandContext(ctx, r.binary, "customers", "import", "-") //nolint:gosec // built by us
	fill.Env = []string{"DWOLLA_ENVIRONMENT=sandbox", "DATABASE_URL=" + schema.URL.Reveal()}
	fill.Stdin = strings.NewReader(links.String())
	if said, err := fill.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("importing links: %w\n%s", err, said)
	}
	return []string{
		"CUSTOMER_SOURCE=database",
		"CUSTOMER_CACHE=5m",
		"DATABASE_URL=" + schema.URL.Reveal(),
		"DWOLLA_WEBHOOK_SECRET=bench-webhook-secret",
		"REDIS_URL=" + redis.url,
		"SESSION_STORE=redis",
	}, nil
}

var errNoSession = errors.New("no session cookie")

// signIn signs a user in like a browser, and returns the session's cookie. It uses the
// server's public URL.
func (t *target) signIn(ctx context.Context, user string) (string, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return "", fmt.Errorf("making a jar: %w", err)
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		if "http://"+addr == publicURL {
			addr = t.addr
		}
		return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, addr)
	}}
	client := &http.Client{Jar: jar, Transport: transport, Timeout: 10 * time.Second}
	page, at, err := fetch(ctx, client, publicURL+"/auth/login", nil)
	if err != nil {
		return "", err
	}
	id := regexp.MustCompile(`name="id" value="([^"]+)"`).FindStringSubmatch(page)
	if id == nil {
		return "", fmt.Errorf("no login page, but %.200s", page)
	}
	page, at, err = fetch(ctx, client, at.ResolveReference(&url.URL{Path: "/login"}).String(), url.Values{"id": {id[1]}, "user": {user}})
	if err == nil && strings.Contains(page, `http-equiv="refresh"`) { // not in old revisions
		page, _, err = fetch(ctx, client, at.String(), nil)
	}
	if err != nil {
		return "", err
	}
	public, err := url.Parse(publicURL)
	if err != nil {
		return "", fmt.Errorf("parsing the public URL: %w", err)
	}
	for _, cookie := range jar.Cookies(public) {
		if cookie.Name == sessionCookie {
			return cookie.Value, nil
		}
	}
	return "", fmt.Errorf("%w, but %.200s", errNoSession, page)
}

// fetch gets a page or posts a form, follows redirects, and returns the final response.
func fetch(ctx context.Context, client *http.Client, to string, form url.Values) (page string, at *url.URL, err error) { //nolint:revive // the page and its place
	method, body := http.MethodGet, ""
	if form != nil {
		method, body = http.MethodPost, form.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, to, strings.NewReader(body))
	if err != nil {
		return "", nil, fmt.Errorf("asking for %s: %w", to, err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", nil, err //nolint:wrapcheck // a *url.Error names method and URL
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", nil, fmt.Errorf("reading a page: %w", err)
	}
	return string(text), resp.Request.URL, nil
}

// printAgainst prints a line per kind of user: this tree, the other revision, and the
// other revision again. A ratio below 1 means that this tree is cheaper.
func (p *part) printAgainst(line func(string, ...any), servers []revision) {
	now, old, again := servers[0].name, servers[1].name, servers[2].name
	line("\n%s:\n\n| connections | users | CPU per request, %s | %s | ratio | %s twice | p50 | p50, %s | p99 | p99, %s | requests |", p.title, now, old, old, old, old)
	line("| --: | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: |")
	for _, n := range p.connections {
		for _, kind := range []string{"bearer", "session"} {
			a, b, c := p.cell(now+", "+kind, n), p.cell(old+", "+kind, n), p.cell(again+", "+kind, n)
			line("| %d | %s | %.1f µs | %.1f µs | %.2f | %.2f | %.2f ms | %.2f ms | %.2f ms | %.2f ms | %d |", n, kind,
				microseconds(percentile(a.cpu, 50)), microseconds(percentile(b.cpu, 50)), p.ratio(a, b.target), p.ratio(c, b.target),
				milliseconds(percentile(a.latencies, 50)), milliseconds(percentile(b.latencies, 50)),
				milliseconds(percentile(a.latencies, 99)), milliseconds(percentile(b.latencies, 99)), len(a.latencies)+len(b.latencies))
		}
	}
}
