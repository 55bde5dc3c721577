package dwolla_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode"

	"dropgate/internal/clienttoken"
)

// FuzzAnswer: for any answer the caller gets the token in it, or a Failure without
// a quote.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{
		`{"token":"4adF858jPeQ9RnojMHdqSD2KwsvmhO7Ti7cI5woOiBGCpH5krY"}`, `{"token":"\u0041\ud800"}`, `{"TOKEN":"a","token":"b"}`,
		`{"code":"ExpiredAccessToken","message":"Expired."}`, `{"error":"invalid_client"}`, `{"code":"RequestTimeout"}`,
		"", "null", "{}", `{"token":5}`, `{"token":""}`, "<html>", `{"code":"a\u0000\u202e\n"}`, `{"token":"a"} x`,
	} {
		for _, status := range []uint16{100, 101, 103, 200, 201, 204, 302, 304, 400, 401, 403, 429, 500, 504, 599, 999} {
			f.Add(status, []byte(body))
		}
	}
	// One server for all of them: each with its own would use up the ports.
	type answer struct {
		status int
		body   []byte
	}
	var next atomic.Pointer[answer]
	w := startWith(f, setup{
		timeout: 3 * time.Second,
		token:   answers(http.StatusOK, `{"access_token":"the-access-token","expires_in":3599}`),
		api: func(rw http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			a := next.Load()
			answerAnything(rw, a.status, a.body)
		},
	})
	f.Fuzz(func(t *testing.T, status uint16, body []byte) {
		if status < 100 || status > 999 {
			status = 100 + status%900
		}
		next.Store(&answer{int(status), body})
		token, err := w.vend(t.Context())
		if err != nil {
			checkFuzzedFailure(t, w, err)
		} else if status/100 != 2 || token.IsZero() || !holdsString(body, token.Reveal()) {
			t.Errorf("status %d, body %q gave the token %q", status, body, token.Reveal())
		}
	})
}

func checkFuzzedFailure(t *testing.T, w *world, err error) {
	t.Helper()
	failure := failureOf(t, err)
	if errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nobody hangs here: %v", err)
	}
	if (failure.RetryAfter > 0) != (failure.Code == clienttoken.Unavailable) {
		t.Errorf("%s, retry after %v", failure.Code, failure.RetryAfter)
	}
	text := err.Error()
	if len(text) > 500 || strings.ContainsFunc(text, unprintable) {
		t.Errorf("the error is %q", text)
	}
	w.wantNoSecret(t, "the error", text)
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// answerAnything also sends a status below 200 as the final one, unlike net/http's
// server.
func answerAnything(w http.ResponseWriter, status int, body []byte) {
	if status >= 200 {
		w.WriteHeader(status)
		_, _ = w.Write(body) // 204 and 304 have none
		return
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return // and the status is 200 without a body
	}
	defer func() { _ = conn.Close() }()
	_, _ = fmt.Fprintf(conn, "HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", status, len(body), body)
}

// holdsString reports whether s is one of the strings in the JSON text body.
func holdsString(body []byte, s string) bool {
	decoder := json.NewDecoder(bytes.NewReader(body))
	for {
		token, err := decoder.Token()
		if err != nil {
			return false
		}
		if token == s {
			return true
		}
	}
}
