package dwolla_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"dropgate/internal/clienttoken"
	"dropgate/internal/dwolla/dwollatest"
	"dropgate/internal/dwolla/emulator"
)

// echoes repeats the whole request in every member not read as a code.
func echoes(status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		authorization := r.Header.Get("Authorization")
		body, _ := json.Marshal(map[string]any{ // strings do encode
			"error": code, "error_description": authorization + " " + dwollatest.ClientSecret, "error_uri": dwollatest.ClientSecret,
			"code": code, "message": authorization + " " + dwollatest.ClientSecret,
			"access_token": nil, "_embedded": map[string]any{"errors": []string{authorization, dwollatest.ClientSecret}},
		})
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("WWW-Authenticate", "Basic realm="+authorization)
		w.WriteHeader(status)
		_, _ = w.Write(body)
	}
}

func TestEchoedSecretsAreNotShown(t *testing.T) {
	text := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, r.Header.Get("Authorization")+" "+dwollatest.ClientSecret)
		}
	}
	for _, status := range []int{http.StatusOK, http.StatusBadRequest, http.StatusUnauthorized, http.StatusInternalServerError} {
		for name, echo := range map[string]http.HandlerFunc{"JSON": echoes(status, "invalid_client"), "text": text(status)} {
			t.Run(name+" "+http.StatusText(status), func(t *testing.T) {
				w := startWith(t, setup{token: echo})
				_, err := w.vend(t.Context())
				if err == nil {
					t.Fatal("no error")
				}
				w.wantNoSecret(t, "the error of /token", err.Error())
				if w.log.String() == "" {
					t.Error("nothing was logged") // and what was is checked in the end
				}

				w = startWith(t, setup{api: echo})
				if _, err = w.vend(t.Context()); err == nil {
					t.Fatal("no error")
				}
				w.wantNoSecret(t, "the error of /client-tokens", err.Error())
			})
		}
	}
}

func TestInvalidHeaderTokenIsNotShown(t *testing.T) {
	w := startWith(t, setup{token: answers(http.StatusOK, `{"access_token":"MARKER\r\nX: y","expires_in":3599}`)})
	_, err := w.vend(t.Context())
	w.wantFailure(t, err, clienttoken.Unavailable)
	wantNothingOf(t, "MARKER", err)
	w.wantCalls(t, emulator.OpCreateClientToken, 0)
}

// raw answers with these bytes. Its %s stands for the request's Authorization.
func raw(format string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return // and the status is 200, which the test takes for a fault
		}
		_, _ = fmt.Fprintf(conn, format, r.Header.Get("Authorization")) // the client may be gone
		_ = conn.Close()                                                // as above
	}
}

func TestMalformedResponseIsNotQuoted(t *testing.T) {
	tests := map[string]string{
		"status line":  "%s MARKER\r\n\r\n",
		"status":       "HTTP/1.1 MARKER%s\r\n\r\n",
		"header":       "HTTP/1.1 200 OK\r\nX-Echo: MARKER\x01%s\r\n\r\n",
		"header name":  "HTTP/1.1 200 OK\r\nMARKER %s\r\n\r\n",
		"length":       "HTTP/1.1 200 OK\r\nContent-Length: MARKER%s\r\n\r\n",
		"encoding":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: MARKER%s\r\n\r\n",
		"trailer":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nMARKER\x01: %s\r\n\r\n",
		"chunk":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nMARKER%s\r\n\r\n",
		"location":     "HTTP/1.1 302 Found\r\nLocation: :MARKER%s\r\nContent-Length: 0\r\n\r\n",
		"informations": "HTTP/1.1 103 X\r\nConnection: close\r\n\r\nMARKER%s\r\n\r\n",
	}
	for name, format := range tests {
		for where, s := range map[string]setup{"token": {token: raw(format)}, "API": {api: raw(format)}} {
			t.Run(name+" of "+where, func(t *testing.T) {
				w := startWith(t, s)
				_, err := w.vend(t.Context())
				if failure := failureOf(t, err); failure.Code == clienttoken.UpstreamTimeout {
					t.Errorf("got %v", err)
				}
				w.wantNoSecret(t, "the error", err.Error())
				wantNothingOf(t, "MARKER", err)
				if strings.Contains(w.log.String(), "MARKER") {
					t.Errorf("logged %s", w.log)
				}
			})
		}
	}
}
