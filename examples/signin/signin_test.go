//go:build signin

package signin_test

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"dropgate/internal/app"
	"dropgate/internal/dwolla/dwollatest"
	"dropgate/internal/dwolla/emulator"
)

// application is a program with users of its own, and its settings for dropgate.
type application struct {
	command []string // the port is added, and then a folder
	path    string   // of AUTH_FORWARD_URL
	claim   string
	cookie  string // of the session
	signIn  func(b *browser) string
	// returns reports that the application sets its cookie again at each use.
	returns bool
}

func applications() map[string]application {
	return map[string]application{
		"better-auth": {[]string{"node", "better-auth.mjs"}, "/api/auth/get-session", "user.id", "better-auth.session_token", signInToBetterAuth, true},
		"Auth.js":     {[]string{"node", "authjs.mjs"}, "/auth/session", "user.id", "authjs.session-token", signInToAuthJS, true},
		"Django":      {[]string{cmp.Or(os.Getenv("PYTHON"), "/usr/bin/python3"), "django_app.py"}, "/me", "sub", "sessionid", signInToDjango, false},
	}
}

func TestRealApplicationSignsItsUsersIn(t *testing.T) {
	for name, a := range applications() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &browser{t: t, application: start(t, a)}
			b.jar, _ = cookiejar.New(nil)
			dropgate := serve(t, b.application, a)
			if got := b.get(dropgate); got.status != http.StatusUnauthorized {
				t.Errorf("without a cookie: status %d", got.status)
			}
			b.setCookie(a.cookie + "=made-up")
			if got := b.get(dropgate); got.status != http.StatusUnauthorized {
				t.Errorf("with a made-up cookie: status %d", got.status)
			}
			want := a.signIn(b)
			for range 2 { // asked, and asked again
				checkUser(t, b.get(dropgate), want, a)
			}
		})
	}
}

// checkUser checks the answer of GET /session.
func checkUser(t *testing.T, got answer, want string, a application) {
	t.Helper()
	var session struct {
		User struct{ ID string }
	}
	if err := json.Unmarshal(got.body, &session); err != nil || session.User.ID != want || want == "" {
		t.Errorf("status %d, user %q (%v), want %q", got.status, session.User.ID, err, want)
	}
	if cookies := got.cookies; a.returns != (len(cookies) == 1 && cookies[0].Name == a.cookie) {
		t.Errorf("cookies %v; want the application's: %t", cookies, a.returns)
	}
}

func signInToBetterAuth(b *browser) string {
	answer := b.post("/api/auth/sign-up/email", "application/json", `{"email":"alice@example.com","password":"correct horse battery","name":"Alice"}`)
	user, _ := answer["user"].(map[string]any)
	id, _ := user["id"].(string)
	return id
}

func signInToAuthJS(b *browser) string {
	b.setCookie("authjs.session-token=")
	token, _ := b.read(b.get(b.application + "/auth/csrf"))["csrfToken"].(string)
	b.post("/auth/callback/credentials", "application/x-www-form-urlencoded", url.Values{"csrfToken": {token}, "name": {"alice"}}.Encode())
	user, _ := b.read(b.get(b.application + "/auth/session"))["user"].(map[string]any)
	id, _ := user["id"].(string)
	return id
}

func signInToDjango(b *browser) string {
	b.get(b.application + "/sign-in?name=alice")
	return "1"
}

type answer struct {
	status  int
	cookies []*http.Cookie
	body    []byte
}

// browser keeps the cookies of 127.0.0.1, whatever the port.
type browser struct {
	t           *testing.T
	application string
	jar         http.CookieJar
}

func (b *browser) setCookie(text string) {
	cookies, err := http.ParseCookie(text)
	if err != nil {
		b.t.Fatal(err)
	}
	at, _ := url.Parse(b.application)
	cookies[0].Path = "/"
	b.jar.SetCookies(at, cookies)
}

func (b *browser) get(url string) answer {
	return b.send(http.MethodGet, url, "", "")
}

func (b *browser) post(path, kind, body string) map[string]any {
	return b.read(b.send(http.MethodPost, b.application+path, kind, body))
}

// read decodes an answer, or returns nil if it is no JSON object.
func (b *browser) read(a answer) map[string]any {
	var object map[string]any
	_ = json.Unmarshal(a.body, &object)
	return object
}

func (b *browser) send(method, url, kind, body string) answer {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("User-Agent", "Firefox")
	if method == http.MethodPost {
		r.Header.Set("Origin", b.application)
		r.Header.Set("Content-Type", kind)
	}
	client := http.Client{Jar: b.jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{response.StatusCode, response.Cookies(), text}
}

// start starts the application and returns its address.
func start(t *testing.T, a application) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	_ = listener.Close()
	_, port, _ := net.SplitHostPort(addr)
	var output strings.Builder
	program := exec.CommandContext(t.Context(), a.command[0], append(a.command[1:], port, t.TempDir())...)
	program.Stdout, program.Stderr = &output, &output
	program.WaitDelay = time.Second
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = program.Process.Kill()
		_ = program.Wait()
		if t.Failed() {
			t.Log(output.String())
		}
	})
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); <-tick.C {
		if connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr); err == nil {
			_ = connection.Close()
			return "http://" + addr
		}
	}
	t.Fatal("the application does not start")
	return ""
}

// serve starts dropgate, and returns the address of GET /session.
func serve(t *testing.T, at string, a application) string {
	t.Helper()
	dwolla := dwollatest.New(t, emulator.Options{})
	config, err := app.Load([]string{
		"DWOLLA_ENVIRONMENT=sandbox", "DWOLLA_BASE_URL=" + dwolla.URL,
		"DWOLLA_CLIENT_ID=" + dwollatest.ClientID, "DWOLLA_CLIENT_SECRET=" + dwollatest.ClientSecret,
		"ALLOWED_ACTIONS=customer.read", "CUSTOMER_SOURCE=claim",
		"AUTH_MODES=forward", "AUTH_FORWARD_URL=" + at + a.path, "AUTH_FORWARD_CACHE=0s",
		"AUTH_USER_CLAIM=" + a.claim, "AUTH_FORWARD_SET_COOKIE=" + a.cookie,
		"HTTP_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0", "SHUTDOWN_DELAY=0s",
	})
	if err != nil {
		t.Fatal(err)
	}
	service, err := app.Open(t.Context(), config, app.Build{Version: "test"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- service.Serve(ctx, context.WithoutCancel(ctx)) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return "http://" + service.PublicAddr() + "/session"
}
