package auth_test

import (
	"errors"
	"strings"
	"testing"

	"dropgate/internal/auth"
	"dropgate/internal/clienttoken"
)

// TestNullAnswerMeansNobodyIsSignedIn tries answers with status 200. An answer that
// explains itself neither way is an outage.
func TestNullAnswerMeansNobodyIsSignedIn(t *testing.T) {
	for _, c := range []struct{ claim, answer, want string }{
		{"sub", `null`, refused},
		{"sub", "\r\n\t null \n", refused},
		{"sub", `{"sub":null}`, refused},
		{"sub", `{"sub":null,"user":{"sub":"alice"}}`, refused},
		{"sub", `{}`, unavailable},
		{"sub", `{"user":null}`, unavailable},
		{"sub", `{"sub":false}`, unavailable},
		{"sub", `{"sub":""}`, unavailable},
		{"sub", "\u00a0null", unavailable},
		{"sub", `Null`, unavailable},
		{"sub", `null{}`, unavailable},
		{"/sub", `{"sub":null}`, refused},
		{"/sub", `{}`, unavailable},

		{"user.id", `null`, refused},
		{"user.id", `{}`, refused},
		{"user.id", `{"user":null}`, refused},
		{"user.id", `{"session":null,"user":null}`, refused},
		{"user.id", `{"session":{"id":"alice"}}`, refused},
		{"user.id", `{"user":{}}`, unavailable},
		{"user.id", `{"user":{"id":null}}`, unavailable},
		{"user.id", `{"user":{"sub":"alice"}}`, unavailable},
		{"user.id", `{"user":"alice"}`, unavailable},
		{"user.id", `{"user":false}`, unavailable},
		{"user.id", `{"user":[]}`, unavailable},
		{"user.id", `{"user":{"id":"alice"}}`, aliceCookie},
		{"user.id", `{"user.id":"alice","user":null}`, aliceCookie},
		{"user.id", `{"user":null,"user":{"id":"alice"}}`, unavailable},
		{"/user/id", `{"user":null}`, refused},
		{"/user/id", `{}`, refused},
		{"data.user.id", `{"data":null}`, refused},
		{"data.user.id", `{"data":{"user":null}}`, unavailable},
		{"data.user.id", `{"data":{"user":{"id":"alice"}}}`, aliceCookie},
	} {
		runSynctest(t, c.claim+" in "+c.answer, func(t *testing.T) {
			app := newApplication()
			app.answers(page(text(c.answer)))
			var outcomes []error
			forward := forwardMode(app, func(f *auth.ForwardConfig) {
				f.UserClaim, f.Outcome = c.claim, func(err error) { outcomes = append(outcomes, err) }
			})
			session, err := forward.Authenticate(request(t.Context(), inSession(appSession)), nil)
			if got := verdict(session, err); got != c.want {
				t.Fatalf("%s (%v), want %s", got, err, c.want)
			}
			if c.want == refused {
				checkSignedOut(t, err, outcomes)
			}
		})
	}
}

// checkSignedOut checks that err is a refusal, and that the call counts as a success.
func checkSignedOut(t *testing.T, err error, outcomes []error) {
	t.Helper()
	rejection, ok := errors.AsType[*auth.Rejection](err)
	if !ok || rejection.Kind != auth.Refused || !strings.Contains(rejection.Reason, "200") {
		t.Errorf("%v, want a refusal by the application that names its answer", err)
	}
	if len(outcomes) != 1 || outcomes[0] != nil {
		t.Errorf("the call counts as %v, want a success", outcomes)
	}
}

func TestMissingUserIDNamesItsSetting(t *testing.T) {
	for claim, answer := range map[string]string{"sub": `{"id":"alice"}`, "user.id": `{"user":{"sub":"alice"}}`} {
		runSynctest(t, claim, func(t *testing.T) {
			app := newApplication()
			app.answers(page(text(answer)))
			_, err := forwardMode(app, func(f *auth.ForwardConfig) { f.UserClaim = claim }).Authenticate(request(t.Context(), inSession(appSession)), nil)
			failure, ok := errors.AsType[*clienttoken.Failure](err)
			if !ok || !strings.Contains(failure.Error(), "no "+claim+", the member that AUTH_USER_CLAIM names") {
				t.Errorf("%v, want an outage that names the setting and %s", err, claim)
			}
		})
	}
}

// An answer of null ends what a cached answer has begun.
func TestNullAnswerEndsRequestsInFlight(t *testing.T) {
	app := newApplication()
	forward := forwardMode(app, func(f *auth.ForwardConfig) { f.Cache = 0 })
	session, err := forward.Authenticate(request(t.Context(), inSession(appSession)), nil)
	if err != nil || session.Over() {
		t.Fatalf("over: %t, %v", session.Over(), err)
	}
	app.answers(page(text("null")))
	if got := verdict(forward.Authenticate(request(t.Context(), inSession(appSession)), nil)); got != refused {
		t.Fatal(got)
	}
	if !session.Over() {
		t.Error("the request in flight is unaware of the sign-out")
	}
}
