package httpbody_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"dropgate/internal/httpbody"
)

func get(t *testing.T, client *http.Client, url string) (*http.Response, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	return client.Do(r)
}

func TestBufferReportsCutBodies(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/cut" {
			w.Header().Set("Content-Length", "100")
		}
		_, _ = io.WriteString(w, "0123456789")
	}))
	defer server.Close()
	client := &http.Client{Transport: httpbody.Buffer(http.DefaultTransport, 4)}

	resp, err := get(t, client, server.URL+"/whole")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "0123" {
		t.Errorf("got %q and %v, want the first 4 bytes", body, err)
	}

	client.Transport = httpbody.Buffer(http.DefaultTransport, 1_000)
	if resp, err := get(t, client, server.URL+"/cut"); !errors.Is(err, io.ErrUnexpectedEOF) {
		if resp != nil {
			_ = resp.Body.Close()
		}
		t.Errorf("got %v for a cut body, want an unexpected EOF", err)
	}
}

func TestRedactErrorKeepsConnectionErrorsOnly(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	_, refused := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	for _, kept := range []error{context.Canceled, context.DeadlineExceeded, io.EOF, io.ErrUnexpectedEOF, refused} {
		wrapped := fmt.Errorf("asking: %w", kept)
		if got := httpbody.RedactError(wrapped); !errors.Is(got, wrapped) {
			t.Errorf("got %v, want %v", got, wrapped)
		}
	}
}

func TestRedactErrorHidesMalformedResponses(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	go func() {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		_, _ = connection.Read(make([]byte, 1<<10))
		_, _ = io.WriteString(connection, "a-secret\r\n\r\n")
		_ = connection.Close()
	}()
	resp, err := get(t, http.DefaultClient, "http://"+listener.Addr().String())
	if err == nil {
		_ = resp.Body.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "a-secret") {
		t.Fatalf("got %v, want an error of net/http that quotes the response", err)
	}
	if got := httpbody.RedactError(err); got != httpbody.ErrNotHTTP { //nolint:errorlint // exactly this one, nothing around it
		t.Errorf("got %v, want ErrNotHTTP", got)
	}
}
