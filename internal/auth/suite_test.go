package auth_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/auth"
)

// attempt is one request to sign in and what must become of it. Tables of them
// are for any mode: a mode that knows nothing of bearer tokens ignores them.
type attempt struct {
	name   string
	header http.Header
	want   string // alice, refused, ignored, …
}

// challenges are what each mode's rejection asks for.
var challenges = map[string]string{
	"bearer": `Bearer realm="dropgate", error="invalid_token"`,
	"none":   `Bearer realm="dropgate"`,
}

// try makes every attempt on a mode of its own, at midnight, in a chain as the
// server has it. Each is made twice: what was remembered of the first time must
// not change the answer.
func try(t *testing.T, newMode func(*testing.T) auth.Mode, attempts []attempt) {
	t.Helper()
	for _, a := range attempts {
		t.Run(a.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				chain := auth.NewChain(prometheus.NewRegistry(), newMode(t))
				for range 2 {
					session, err := chain.Authenticate(request(t.Context(), a.header), nil)
					if got := verdict(session, err); got != a.want {
						t.Errorf("%s (%v), want %s", got, err, a.want)
					}
					checkRejection(t, err, a.header)
				}
			})
		})
	}
}

// checkRejection fails t when an error tells too much or asks for nothing.
func checkRejection(t *testing.T, err error, header http.Header) {
	t.Helper()
	if err == nil {
		return
	}
	rejection, ok := err.(*auth.Rejection) //nolint:errorlint // the type itself is the promise
	if !ok {
		t.Fatalf("a %T, want a *auth.Rejection: %v", err, err)
	}
	if want := challenges[rejection.Mode]; rejection.Challenge != want {
		t.Errorf("challenge %s, want %s", rejection.Challenge, want)
	}
	checkSilent(t, err, slices.Concat(header["Authorization"], header["Cookie"])...)
}

// checkSilent fails t when an error holds a piece of a credential that nobody
// should read, such as a part of a token.
func checkSilent(t *testing.T, err error, credentials ...string) {
	t.Helper()
	said := fmt.Sprintf("%v %+v %#v", err, err, err)
	for _, credential := range credentials {
		for _, piece := range strings.FieldsFunc(credential, func(r rune) bool { return strings.ContainsRune(" .;=", r) }) {
			if len(piece) >= 16 && strings.Contains(said, piece) {
				t.Errorf("the error holds %q of the credential: %s", piece, said)
			}
		}
	}
}

// bearerMode is the mode that most attempts are made on: one that believes
// published(), with edits. It may ask the provider alone.
func bearerMode(edits ...func(*auth.BearerConfig, *auth.KeySetConfig)) func(*testing.T) auth.Mode {
	return bearerModeWith(published(), edits...)
}

func bearerModeWith(set []any, edits ...func(*auth.BearerConfig, *auth.KeySetConfig)) func(*testing.T) auth.Mode {
	return func(t *testing.T) auth.Mode {
		t.Helper()
		w := newWorld(newIDP(set...), edits...)
		w.run(t)
		t.Cleanup(func() {
			if hosts := slices.Compact(w.idp.asked()); !slices.Equal(hosts, []string{"id.example.com"}) {
				t.Errorf("keys were asked of %q", hosts)
			}
		})
		return w.bearer
	}
}
