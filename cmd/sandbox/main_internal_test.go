package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"dropgate/internal/auth/oidctest"
)

// freePorts returns command-line flags that let the system choose the ports.
func freePorts() []string {
	var args []string
	for _, name := range []string{"-emulator-addr", "-provider-addr", "-http-addr", "-admin-addr"} {
		args = append(args, name, "127.0.0.1:0")
	}
	return args
}

// TestPrintedCommandsWork runs the printed commands.
func TestPrintedCommandsWork(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("no curl")
	}
	ctx, stop := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- run(ctx, freePorts(), nil, writer) }()

	// A comment line precedes each command, and an empty line follows it.
	var commands []string
	lines := bufio.NewScanner(reader)
	for len(commands) < 5 && lines.Scan() {
		if !strings.HasPrefix(lines.Text(), "# ") {
			continue
		}
		command := ""
		for lines.Scan() && lines.Text() != "" {
			command += lines.Text() + "\n"
		}
		commands = append(commands, command)
	}
	go func() { _, _ = io.Copy(io.Discard, reader) }() // the log goes on
	for i, want := range []string{
		`^\{"token":"[^"]+"\}\n$`,
		`^\{"code":"CustomerMismatch",`,
		`^\{"code":"ActionNotAllowed",`,
		`^\{"user":\{"id":"alice",.*"customer":\{"id":"11111111-`,
		`^\{"token":"[^"]+"\}\n$`,
	} {
		out, err := exec.CommandContext(ctx, "sh", "-c", commands[i]).Output()
		if err != nil || !regexp.MustCompile(want).Match(out) {
			t.Errorf("%s\nprinted %q (%v), want %s", commands[i], out, err, want)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Errorf("run: %v", err)
	}
}

func TestBusyPortErrorNamesFlag(t *testing.T) {
	for _, name := range []string{"-emulator-addr", "-provider-addr", "-http-addr", "-admin-addr"} {
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		args := append(freePorts(), name, listener.Addr().String())
		err = run(t.Context(), args, nil, io.Discard)
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "another program uses this port") {
			t.Errorf("%s busy: %v", name, err)
		}
		_ = listener.Close()
	}
}

func TestOwnCredentialsReplaceEmulator(t *testing.T) {
	own := []string{"DWOLLA_CLIENT_ID=mine", "DWOLLA_CLIENT_SECRET=my-secret", "HTTPS_PROXY=proxy:3128"}
	var b background
	defer b.close()
	got, err := b.dwolla(t.Context(), append(own, "HOME=/root", "DWOLLA_CLIENT_SECRET_FILE="))
	if err != nil || strings.Join(got, " ") != strings.Join(own, " ") {
		t.Errorf("settings %q, %v", got, err)
	}
	if b.emulator != nil {
		t.Error("the emulator was started")
	}
}

func TestFurtherSettingsReachTheService(t *testing.T) {
	for setting, want := range map[string]string{
		"SESSION_LIFETIME=eternal": "SESSION_LIFETIME", // replaces nothing, and the service refuses it
		"HTTP_ADDR=nowhere":        "HTTP_ADDR",        // replaces the sandbox's own
		"SESSION_LIFETIME":         "NAME=VALUE",
		"SSL_CERT_FILE=/ca.pem":    "Go itself",
	} {
		err := run(t.Context(), append(freePorts(), "-env", setting), nil, io.Discard)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("-env %s: %v, want an error with %s", setting, err, want)
		}
	}
}

// visit opens a URL. It returns the final URL and the content.
func visit(t *testing.T, browser *http.Client, method, at string, form url.Values) (*url.URL, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, at, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := browser.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.Request.URL, string(body)
}

// TestBrowserSignsInAndOut follows the last printed line.
func TestBrowserSignsInAndOut(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- run(ctx, freePorts(), nil, writer) }()
	var login string
	for lines := bufio.NewScanner(reader); login == "" && lines.Scan(); {
		if at, found := strings.CutPrefix(lines.Text(), "#   http"); found {
			login = "http" + at
		}
	}
	go func() { _, _ = io.Copy(io.Discard, reader) }() // the log goes on
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, Transport: oidctest.Refreshing(nil)}
	open := func(method, at string, form url.Values) (*url.URL, string) {
		t.Helper()
		return visit(t, browser, method, at, form)
	}
	at, page := open(http.MethodGet, login, nil)
	form, ok := oidctest.Form(page)
	if !ok {
		t.Fatalf("%s shows no login page: %s", at, page)
	}
	form.Set("user", "bob")
	at, page = open(http.MethodPost, at.String(), form)
	if at.Path != "/dropgate/session" || !strings.HasPrefix(page, `{"user":{"id":"bob"`) {
		t.Errorf("after the sign-in the browser is at %s: %s", at, page)
	}
	open(http.MethodPost, at.JoinPath("../auth/logout").String(), nil)
	if _, page := open(http.MethodGet, at.String(), nil); !strings.HasPrefix(page, `{"code":"Unauthenticated"`) {
		t.Errorf("after the sign-out: %s", page)
	}
	stop()
	if err := <-done; err != nil {
		t.Errorf("run: %v", err)
	}
}

func TestBrowserReachesWildcardAddress(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:8080": "http://127.0.0.1:8080",
		":8080":          "http://127.0.0.1:8080",
		"0.0.0.0:8080":   "http://127.0.0.1:8080",
		"[::]:8080":      "http://127.0.0.1:8080",
		"[::1]:8080":     "http://[::1]:8080",
		"localhost:80":   "http://localhost:80",
	} {
		if got := publicURL(addr); got != want {
			t.Errorf("publicURL(%q) = %q, want %q", addr, got, want)
		}
	}
}

func TestOnlyEmulatorRunsNothingElse(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	reader, writer := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, append(freePorts(), "-only", "emulator"), nil, writer)
		_ = writer.Close()
	}()
	var printed strings.Builder
	lines := bufio.NewScanner(reader)
	for lines.Scan() {
		printed.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "erin: ") { // the last line
			stop()
		}
	}
	if err := <-done; err != nil {
		t.Errorf("run: %v", err)
	}
	if got := printed.String(); !strings.Contains(got, "grant_type=client_credentials") || strings.Contains(got, "dropgate is ready") {
		t.Errorf("printed %s", got)
	}
}

func TestUnfitFlagsAreRefused(t *testing.T) {
	for want, args := range map[string][]string{
		"-only":                  {"-only", "server"},
		"exclude each other":     {"-only", "emulator", "-backends"},
		"-dwolla-web":            {"-dwolla-web", "dwolla-web.js"},
		"unexpected argument":    {"emulator"},
		"not a URL such as http": {"-dwolla-web", "javascript://x"},
	} {
		if err := run(t.Context(), append(freePorts(), args...), nil, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error with %q", args, err, want)
		}
	}
}
