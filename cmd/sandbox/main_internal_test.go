package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// freePorts are command-line flags that choose free ports.
func freePorts(t *testing.T) []string {
	t.Helper()
	var args []string
	for _, name := range []string{"-emulator-addr", "-provider-addr", "-http-addr", "-admin-addr"} {
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = listener.Close() }()
		args = append(args, name, listener.Addr().String())
	}
	return args
}

// TestPrintedCommandsDoWhatTheySay runs what a newcomer would paste.
func TestPrintedCommandsDoWhatTheySay(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("no curl")
	}
	ctx, stop := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- run(ctx, freePorts(t), nil, writer) }()

	var commands []string
	lines := bufio.NewScanner(reader)
	for len(commands) < 4 && lines.Scan() {
		if strings.HasPrefix(lines.Text(), "curl ") {
			commands = append(commands, lines.Text())
		}
	}
	go func() { _, _ = io.Copy(io.Discard, reader) }() // the log goes on
	for i, want := range []string{
		`^\{"token":"[^"]+"\}\n$`,
		`^\{"code":"CustomerMismatch",`,
		`^\{"code":"ActionNotAllowed",`,
		`^\{"user":\{"id":"alice",.*"customer":\{"id":"11111111-`,
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

func TestBusyPortIsSaidWithTheFlagThatChangesIt(t *testing.T) {
	for _, name := range []string{"-emulator-addr", "-provider-addr", "-http-addr", "-admin-addr"} {
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		args := append(freePorts(t), name, listener.Addr().String())
		err = run(t.Context(), args, nil, io.Discard)
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "another program has that port") {
			t.Errorf("%s busy: %v", name, err)
		}
		_ = listener.Close()
	}
}

func TestOwnCredentialsReplaceTheEmulator(t *testing.T) {
	own := []string{"DWOLLA_CLIENT_ID=mine", "DWOLLA_CLIENT_SECRET=my-secret"}
	var b background
	defer b.close()
	got, err := b.dwolla(t.Context(), options{}, append(own, "HOME=/root", "DWOLLA_CLIENT_SECRET_FILE="))
	if err != nil || strings.Join(got, " ") != strings.Join(own, " ") {
		t.Errorf("settings %q, %v", got, err)
	}
	if len(b.closers) != 0 {
		t.Error("the emulator was started")
	}
}
