package auth_test

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/auth"
	"dropgate/internal/clienttoken"
)

// For any answer, the mode must not panic. It accepts only the user named with
// status 200.
func FuzzForwardAnswer(f *testing.F) {
	for _, code := range []int{200, 401, 403, 204, 302, 404, 429, 500, 100, 0, -1} {
		f.Add(code, []byte(`{"sub":"alice"}`))
	}
	for _, answer := range []string{
		"", "null", " null\n", "nul", "nullnull", "[]", `""`, "{}", "<html>", `{"sub":7}`, `{"sub":null}`, `{"sub":""}`, `{"sub":" "}`, `{"sub":["alice"]}`, `{"sub":{"sub":"alice"}}`,
		`{"SUB":"alice"}`, `{"sub":"a","sub":"b"}`, `{"sub":"alice"}{}`, `{"sub":"alice"`, `{"sub":"al\u0000ice"}`, `{"sub":"\ud800"}`,
		"{\"sub\":\"\xff\"}", `{"sub":"` + strings.Repeat("é", 255) + `"}`, `{"sub":"` + strings.Repeat("é", 256) + `"}`,
		`{"s\u0075b":"alice"}`, "\ufeff" + `{"sub":"alice"}`, `{"sub":"alice","n":1e999}`, strings.Repeat("[", 11_000),
		`{"sub":"alice"}` + strings.Repeat(" ", whoIsLimit-15), `{"sub":"alice"}` + strings.Repeat(" ", whoIsLimit-14), appSession,
	} {
		f.Add(http.StatusOK, []byte(answer))
	}
	f.Fuzz(func(t *testing.T, code int, answer []byte) {
		app := newApplication()
		app.answers(roundTripFunc(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: code, Header: http.Header{"Location": {string(answer)}}, Body: io.NopCloser(strings.NewReader(string(answer)))}, nil
		}))
		session, err := auth.NewChain(prometheus.NewRegistry(), forwardMode(app)).Authenticate(request(t.Context(), inSession(appSession)), nil)
		if got, want := verdict(session, err), saysWho(code, answer); got != want {
			t.Errorf("%s (%v), want %s", got, err, want)
		}
		if err != nil {
			checkNoSecret(t, err, appSession)
		}
		if app.calls() != 1 {
			t.Errorf("%d calls", app.calls())
		}
	})
}

// saysWho returns the meaning of an answer by the contract.
func saysWho(code int, answer []byte) string {
	switch code {
	case http.StatusUnauthorized, http.StatusForbidden:
		return refused
	case http.StatusOK:
	default:
		return unavailable
	}
	var members map[string]jsontext.Value
	if len(answer) > whoIsLimit || json.Unmarshal(answer, &members) != nil {
		return unavailable
	}
	if string(members["sub"]) == "null" || members == nil {
		return refused
	}
	id := ""
	switch sub := members["sub"]; {
	case json.Unmarshal(sub, &id) == nil:
	case regexp.MustCompile(`^(0|-?[1-9][0-9]*)$`).Match(sub):
		id = string(sub)
	default:
		var one []string
		if json.Unmarshal(sub, &one) != nil || len(one) != 1 {
			return unavailable
		}
		id = one[0]
	}
	if !clienttoken.ValidUserID(id) {
		return unavailable
	}
	return "accepted " + id + " by cookie"
}
