package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"dropgate/internal/app"
)

// composed are the parts, each run alone as in docker-compose.yml. Inside the network,
// they know each other as localhost; browsers know them as 127.0.0.1.
type composed struct {
	sandbox

	emulator, provider, page, service, admin string // HOST:PORT for browsers
	folder                                   string
	stops                                    map[string]func()
}

func inside(addr string) string {
	return "http://" + strings.Replace(addr, "127.0.0.1", "localhost", 1)
}

const composedToken = "the-token-of-the-page-for-the-directory"

func startComposed(t *testing.T) *composed {
	t.Helper()
	c := &composed{folder: t.TempDir(), stops: map[string]func(){}}
	for _, addr := range []*string{&c.emulator, &c.provider, &c.page, &c.service, &c.admin} {
		*addr = freeAddr(t)
	}
	c.sandbox = sandbox{t: t, public: "http://" + c.page, issuer: "http://" + c.provider, client: &http.Client{}}
	c.startEmulator()
	c.startProvider()
	c.startService()
	c.start("page", "-only=page", "-http-addr="+c.page, "-service="+inside(c.service), "-service-admin="+inside(c.admin), "-service-admin-token="+composedToken,
		"-provider-issuer="+inside(c.provider), "-provider-browser-url=http://"+c.provider, "-api-root=http://"+c.emulator, "-emulator-links="+sandboxAPI)
	return c
}

func (c *composed) startEmulator() {
	c.t.Helper()
	c.start("emulator", "-only=emulator", "-emulator-addr="+c.emulator, "-emulator-state="+filepath.Join(c.folder, "emulator.json"),
		"-emulator-links="+sandboxAPI, "-webhooks="+inside(c.service)+basePath+"/webhooks/dwolla", "-webhook-secret=secret-of-the-webhooks")
}

func (c *composed) startProvider() {
	c.t.Helper()
	c.start("provider", "-only=provider", "-provider-addr="+c.provider, "-provider-issuer="+inside(c.provider), "-provider-browser-url=http://"+c.provider,
		"-provider-key="+filepath.Join(c.folder, "provider.pem"), "-public-url=http://"+c.page, "-service="+inside(c.service))
}

// start runs a part until the test ends or stops it, and waits until it is healthy.
func (c *composed) start(part string, args ...string) {
	c.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx, args, nil, io.Discard) }()
	end := sync.OnceFunc(func() {
		stop()
		if err := <-done; err != nil {
			c.t.Errorf("%s: %v", part, err)
		}
	})
	c.stops[part] = end
	c.t.Cleanup(end)
	until(c.t, func() bool {
		select {
		case err := <-done:
			done <- nil
			c.t.Fatalf("%s: %v", part, err)
		default:
		}
		return run(ctx, append(args, "-healthcheck="+part), nil, io.Discard) == nil
	})
}

func (c *composed) startService() {
	c.t.Helper()
	config, err := app.Load([]string{
		"DWOLLA_ENVIRONMENT=sandbox", "DWOLLA_CLIENT_ID=" + demoClientID, "DWOLLA_CLIENT_SECRET=" + demoClientSecret, "DWOLLA_BASE_URL=" + inside(c.emulator),
		"DWOLLA_WEBHOOK_SECRET=secret-of-the-webhooks", "ADMIN_TOKEN=page:rw:" + composedToken, "ENROLLMENT_KEYS=ZGVtbyBrZXkgb2YgZHJvcGdhdGUncyBjb21wb3NlIGZpbGU=",
		"CUSTOMER_SOURCE=database", "DATABASE_URL=sqlite:" + filepath.Join(c.folder, "links.db"), "ALLOWED_ACTIONS=customer.read,dwolla-customer-create",
		"HTTP_ADDR=" + c.service, "ADMIN_ADDR=" + c.admin, "PUBLIC_URL=http://" + c.page, "BASE_PATH=" + basePath, "TRUSTED_PROXIES=127.0.0.1,::1",
		"AUTH_MODES=bearer,oidc", "AUTH_BEARER_ISSUER=" + inside(c.provider), "AUTH_BEARER_AUDIENCE=" + audience, "AUTH_OIDC_ISSUER=" + inside(c.provider),
		"AUTH_OIDC_CLIENT_ID=" + demoClient, "AUTH_OIDC_CLIENT_SECRET=" + demoWebSecret, "SHUTDOWN_DELAY=0s",
	})
	if err != nil {
		c.t.Fatal(err)
	}
	service, err := app.Open(c.t.Context(), config, app.Build{Version: "test"}, io.Discard)
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() { _ = service.Serve(ctx, ctx) })
	c.t.Cleanup(func() { stop(); serving.Wait() })
}

func freeAddr(t *testing.T) string {
	t.Helper()
	opened, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = opened.Close() }()
	return opened.Addr().String()
}

// browse signs a user in at the page, with the cookies of a new browser.
func (c *composed) browse(user string) {
	c.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		c.t.Fatal(err)
	}
	c.client = &http.Client{Jar: jar}
	if err := (attacker{c.client}).signIn(c.t.Context(), c.public+"/demo/sign-in?user="+user); err != nil {
		c.t.Fatal(err)
	}
}

func TestSignInWorksWithEveryPartAlone(t *testing.T) {
	c := startComposed(t)
	c.browse("alice")
	session := c.do(http.MethodGet, "/dropgate/session", "", "Sec-Fetch-Site: same-origin")
	if customer, _ := session.body["customer"].(map[string]any); customer["id"] != demoAlice {
		t.Errorf("the session is %v, want alice with her Customer", session)
	}
	if got := c.do(http.MethodPost, "/dropgate/client-tokens", `{"action":"customer.read"}`, "Sec-Fetch-Site: same-origin"); got.text("token") == "" {
		t.Errorf("a token in the session: %v", got)
	}
	// A drop-in component names a Customer by the link that the emulator has sent it.
	if got := c.vend("alice", `{"action":"customer.read","_links":{"customer":{"href":"`+sandboxAPI+"/customers/"+demoAlice+`"}}}`); got.text("token") == "" {
		t.Errorf("a token with a bearer token: %v", got)
	}
	if got := c.do(http.MethodPost, "/dropgate/auth/logout", "", "Sec-Fetch-Site: same-origin", "Origin: "+c.public); !strings.HasPrefix(got.text("redirect"), "http://"+c.provider+"/end_session") && got.status >= http.StatusBadRequest {
		t.Errorf("the sign-out: %v", got)
	}
}

func TestPageElsewhereOffersOnlyWhatWorks(t *testing.T) {
	c := startComposed(t)
	page := c.text("/")
	for _, part := range []string{`id="policy"`, `id="fault"`, `id="inspector"`, `id="new-user"`, "data-make-user", `id="attack-cross-origin-form"`, "inspector:", "Set his policy", "May only read at first"} {
		if strings.Contains(page, part) {
			t.Errorf("the page shows %s", part)
		}
	}
	for _, path := range []string{"/demo/policy", "/demo/fault", "/demo/new-user", "/demo/events"} {
		if got := c.do(http.MethodPost, path, "{}"); got.status != http.StatusNotFound {
			t.Errorf("%s answers %v", path, got)
		}
	}
	for _, name := range []string{"replayed-cookie", "forged-webhook"} {
		if got := c.do(http.MethodPost, "/demo/attack/"+name, ""); got.body["refused"] != true {
			t.Errorf("the attack %s: %v", name, got)
		}
	}
	if got := c.do(http.MethodGet, "/demo/state?user=alice", ""); !strings.Contains(fmt.Sprint(got.body["entry"]), demoAlice) {
		t.Errorf("the state is %v", got)
	}
}

// TestRestartOfAPartKeepsItsData: alice's old token is still good, and what was made at
// the emulator is still there.
func TestRestartOfAPartKeepsItsData(t *testing.T) {
	c := startComposed(t)
	old := c.bearer("alice")
	created := c.dwolla(http.MethodPost, "/customers", `{"firstName":"Carol","lastName":"Demo","email":"carol@example.com"}`)
	location := created.location
	if !strings.HasPrefix(location, sandboxAPI+"/customers/") {
		t.Fatalf("the emulator answers %d with the link %q", created.status, location)
	}
	for _, part := range []string{"emulator", "provider"} {
		c.stops[part]()
	}
	c.startEmulator()
	c.startProvider()
	if got := c.dwolla(http.MethodGet, strings.TrimPrefix(location, sandboxAPI), ""); got.status != http.StatusOK {
		t.Errorf("after the restart, the new Customer is %d", got.status)
	}
	for what, token := range map[string]string{"old": old, "new": c.bearer("alice")} {
		if got := c.do(http.MethodPost, "/dropgate/client-tokens", `{"action":"customer.read"}`, "Authorization: Bearer "+token); got.text("token") == "" {
			t.Errorf("with the %s bearer token: %v", what, got)
		}
	}
}

// dwolla calls the emulator as the application.
func (c *composed) dwolla(method, path, body string) replied {
	c.t.Helper()
	token := c.request(http.MethodPost, "http://"+c.emulator+"/token", "grant_type=client_credentials", func(r *http.Request) {
		r.SetBasicAuth(demoClientID, demoClientSecret)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	})
	_, rest, _ := strings.Cut(token.text, `"access_token":"`)
	access, _, _ := strings.Cut(rest, `"`)
	return c.request(method, "http://"+c.emulator+path, body, func(r *http.Request) {
		r.Header.Set("Authorization", "Bearer "+access)
		r.Header.Set("Accept", "application/vnd.dwolla.v1.hal+json")
		r.Header.Set("Content-Type", "application/json")
	})
}

func (c *composed) text(path string) string {
	c.t.Helper()
	return c.request(http.MethodGet, c.public+path, "", func(*http.Request) {}).text
}

// replied is a response.
type replied struct {
	status         int
	location, text string
}

func (c *composed) request(method, at, body string, dress func(*http.Request)) replied {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, at, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	dress(r)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return replied{resp.StatusCode, resp.Header.Get("Location"), string(text)}
}

func TestHealthcheckNamesThePartThatFails(t *testing.T) {
	gone := freeAddr(t)
	for args, want := range map[string]string{
		"-healthcheck=emulator -emulator-addr=" + gone: "emulator at " + gone + ": ",
		"-healthcheck=provider -provider-addr=" + gone: "provider at " + gone + ": ",
		"-healthcheck=page -http-addr=" + gone:         "page at " + gone + ": ",
		"-healthcheck=server":                          `"server": the parts are emulator, provider and page`,
	} {
		var out bytes.Buffer
		if err := run(t.Context(), strings.Fields(args), nil, &out); err == nil || !strings.Contains(err.Error(), want) || out.Len() > 0 {
			t.Errorf("%s: %v and %q, want %s", args, err, out.String(), want)
		}
	}
}

func TestPartsRefuseFilesTheyCannotUse(t *testing.T) {
	folder := t.TempDir()
	other := filepath.Join(folder, "notes.txt")
	if err := os.WriteFile(other, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(folder, "none", "file")
	for args, want := range map[string]string{
		"-only=emulator -emulator-state=" + missing: "cannot keep " + missing + ": ",
		"-only=provider -provider-key=" + missing:   "the folder must exist, and user ",
		"-only=emulator -emulator-state=" + other:   "this is not a snapshot",
		"-only=provider -provider-key=" + other:     "holds no key in PEM; delete it",
		"-only=emulator -webhooks=http://server":    "-webhooks needs -webhook-secret",
		"-only=page -service=http://127.0.0.1":      "-only page needs -service and -service-admin",
		"-only=page -service=server:8080":           `-service "server:8080": not a URL such as http://127.0.0.1:8080`,
	} {
		err := run(t.Context(), append(freePorts(), strings.Fields(args)...), nil, io.Discard)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
}
