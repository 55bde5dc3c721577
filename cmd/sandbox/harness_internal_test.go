package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// sandbox is a running sandbox.
type sandbox struct {
	t              *testing.T
	public, issuer string
	client         *http.Client
}

// startSandbox runs the whole sandbox until the test ends.
func startSandbox(t *testing.T) sandbox {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- run(ctx, freePorts(), nil, writer) }()
	s := sandbox{t: t, client: &http.Client{}}
	addresses := regexp.MustCompile(`Open (http://\S+)/ in|curl -s '(http://\S+)/token\?`)
	lines := bufio.NewScanner(reader)
	for s.issuer == "" && lines.Scan() {
		if found := addresses.FindStringSubmatch(lines.Text()); found != nil {
			s.public += found[1]
			s.issuer += found[2]
		}
	}
	go func() { _, _ = io.Copy(io.Discard, reader) }() // the log goes on
	t.Cleanup(func() {
		stop()
		s.client.CloseIdleConnections()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return s
}

// answer is a response with its body as JSON.
type answer struct {
	status int
	body   map[string]any
}

func (a answer) text(member string) string {
	text, _ := a.body[member].(string)
	return text
}

// do sends a request with a JSON body. Each header is "Name: value".
func (s sandbox) do(method, path, body string, headers ...string) answer {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.public+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		if name == "Host" {
			r.Host = value
		} else {
			r.Header.Set(name, value)
		}
	}
	resp, err := s.client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	a := answer{status: resp.StatusCode}
	if err := json.NewDecoder(resp.Body).Decode(&a.body); err != nil {
		s.t.Fatalf("%s %s: %d, not JSON: %v", method, path, a.status, err)
	}
	return a
}

// vend asks for a client token with a user's bearer token.
func (s sandbox) vend(user, body string) answer {
	s.t.Helper()
	return s.do(http.MethodPost, "/dropgate/client-tokens", body, "Authorization: Bearer "+s.bearer(user))
}

func (s sandbox) bearer(user string) string {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.issuer+"/token?"+url.Values{"user": {user}}.Encode(), http.NoBody)
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := s.client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	token, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		s.t.Fatalf("a token for %s: %d %s %v", user, resp.StatusCode, token, err)
	}
	return strings.TrimSpace(string(token))
}

// until polls until a condition holds. The limit is only for a busy machine.
func until(t *testing.T, holds func() bool) {
	t.Helper()
	limit := time.After(time.Minute)
	for !holds() {
		select {
		case <-limit:
			t.Fatal("it did not happen in time")
		case <-time.After(20 * time.Millisecond):
		}
	}
}
