package session_test

import (
	"crypto/rand"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"dropgate/internal/auth/session"
	"dropgate/internal/clienttoken"
)

// Both stores pass the same tests, on every server.
func TestStoreContract(t *testing.T) {
	tests := map[string]func(t *testing.T, w *world){
		"FindReturnsTheWholeSession":            foundWithEverything,
		"UnknownKeyIsNoSession":                 unknownKeyIsNone,
		"SessionEndsWhenIdleOrAtItsDeadline":    endsWhenIdleOrAtItsDeadline,
		"DeadlineBeforeTheIdleTimeHolds":        deadlineBeforeIdleHolds,
		"PeekNeverExtends":                      peekNeverExtends,
		"ExtendNeverMovesTheDeadline":           extendNeverMovesTheDeadline,
		"ExpiredSessionIsNotRevived":            expiredIsNotRevived,
		"EndByKeyReturnsTheSession":             endByKey,
		"EndingTwiceIsNoError":                  endTwice,
		"EndBySubjectEndsOnlyItsSessions":       endBySubject,
		"EndBySIDEndsOnlyItsSessions":           endBySID,
		"EndBySubjectAndSIDKeepsOtherSIDs":      endBySubjectAndSID,
		"EmptySelectorEndsNothing":              endOfNothing,
		"EndByNamesIgnoresTheKey":               endByNamesIgnoresTheKey,
		"EndReturnsOnlyLiveSessions":            endReturnsOnlyGood,
		"IndexesForgetEndedSessions":            indexesForgetEnded,
		"SignInStartsOneSession":                signInStartsOne,
		"LogoutTokenEndsOnce":                   noticeEndsOnce,
		"SignInsAndLogoutTokensShareIDs":        onceIsOneNamespace,
		"UsedIDIsRememberedLongEnough":          usedIsRemembered,
		"EmptyIDIsNeverUsed":                    noOnceIsNeverUsed,
		"IDIsComparedByteByByte":                onceIsComparedByteByByte,
		"The33rdSessionOfASubjectEndsTheOldest": the33rdEndsTheOldest,
		"EndedSessionsDoNotCount":               endedDoNotCount,
		"UseDoesNotChangeTheOldest":             useKeepsTheOldest,
		"BoundIsPerSubject":                     boundIsPerSubject,
		"RefusedSignInDisplacesNoSession":       refusedDisplacesNone,
		"SimilarSubjectsAreDistinct":            similarSubjectsAreDistinct,
		"SimilarSIDsAreDistinct":                similarSIDsAreDistinct,
		"SubjectsAndSIDsAreDistinct":            subjectsAreNoSIDs,
		"BoundsHoldForConcurrentSignIns":        manyAtOnce,
		"OneCallerGetsEachEndedSession":         endedForOneCaller,
		"SignInEndsTheReplacedSession":          signInReplaces,
		"RefusedSignInReplacesNothing":          refusedReplacesNothing,
		"EndedSessionIsNotReplaced":             goneIsNotReplaced,
		"ReplacedSessionDoesNotCount":           replacedDoesNotCount,
		"SessionIsReplacedOnce":                 replacedOnce,
		"LogoutRefusesSignInsInProgress":        logoutRefusesSignInsInProgress,
		"LogoutIsRememberedLongEnough":          logoutIsRemembered,
		"RepeatedLogoutTokenRefusesNothing":     repeatedLogoutRefusesNothing,
		"FoundSessionKnowsItsEnd":               foundSessionKnowsItsEnd,
		"ListShowsTheSessionsOfAUser":           listShowsSessions,
		"ListIsBounded":                         listIsBounded,
		"HandleIsNoSessionID":                   handleIsNoID,
		"EndByHandleEndsOneSession":             endByHandle,
		"EndByUserEndsAllTheirSessions":         endByUser,
		"EndByUserRefusesSignInsInProgress":     endByUserRefusesSignIns,
		"OneCallerEndsAUsersSession":            endByUserForOneCaller,
	}
	for kind, newWorld := range stores {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			for name, test := range tests {
				t.Run(name, func(t *testing.T) { test(t, newWorld(t)) })
			}
		})
	}
}

// everything is a session with claims of all JSON types.
func (w *world) everything(t *testing.T) session.Stored {
	t.Helper()
	s := w.of("ann", "browser")
	s.User.ID = "Zoë 🦆 <&>"
	s.IDToken = clienttoken.NewSecret("eyJ.eyJ." + strings.Repeat("x", 4000))
	err := json.Unmarshal([]byte(`{"text": "Zoë \u0000 🦆 \\ \" \u2028 </script>", "empty": "", "yes": true, "no": false, "null": null,
		"int": 1772366400, "big": 9007199254740991, "negative": -0.1, "small": 5e-324, "large": 1.7976931348623157e308,
		"list": [1, "two", [true, null], {"deep": []}], "empty list": [], "empty object": {},
		"object": {"a": {"b": {"c": ["d"]}}}, "": "no name", "https://example.com/roles": ["a", "ä"]}`), &s.User.Claims)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func foundWithEverything(t *testing.T, w *world) {
	everything := w.everything(t)
	large := w.of("ann", "large")
	large.User.Claims = map[string]any{"groups": strings.Repeat("grüppe,", 12<<10/8)}
	noSID, noToken, nothing := w.everything(t), w.everything(t), w.of("ann", "")
	noSID.SID, noToken.IDToken = "", clienttoken.Secret{}
	nothing.User.Claims, nothing.IDToken = map[string]any{}, clienttoken.Secret{}
	noClaims := w.of("ann", "")
	noClaims.User.Claims = nil

	keys := map[session.Key]session.Stored{}
	for _, s := range []session.Stored{everything, large, noSID, noToken, nothing, noClaims} {
		keys[w.start(t, s)] = s
	}
	for key, want := range keys {
		want.Expires = w.Now().Add(idle)
		for _, touch := range []session.Touch{session.Peek, session.Extend} {
			got, err := w.Find(t.Context(), key, touch, nil)
			wantError(t, err, nil)
			wantSession(t, got, want)
		}
	}
}

func unknownKeyIsNone(t *testing.T, w *world) {
	for _, key := range []session.Key{{}, newKey()} {
		for _, touch := range []session.Touch{session.Peek, session.Extend} {
			_, err := w.Find(t.Context(), key, touch, nil)
			wantError(t, err, session.ErrNone)
			w.end(t, session.Selector{Key: key}, 0)
			w.wantGone(t, key) // Find created none
		}
	}
	w.start(t, w.of("ann", "browser"))
	w.wantGone(t, session.Key{}, newKey())
}

func endsWhenIdleOrAtItsDeadline(t *testing.T, w *world) {
	for _, touch := range []session.Touch{session.Peek, session.Extend} {
		for _, c := range []struct {
			used  []time.Duration // times of use after the sign-in
			at    time.Duration
			there bool
		}{
			{at: 0, there: true},
			{at: idle - ms, there: true},
			{at: idle},
			{at: idle + ms},
			{at: lifetime},
			{used: []time.Duration{ms}, at: idle, there: true},
			{used: []time.Duration{ms}, at: idle + ms},
			{used: []time.Duration{idle - ms}, at: 2*idle - 2*ms, there: true},
			{used: []time.Duration{idle - ms}, at: 2*idle - ms},
			{used: often(lifetime - w.grain), at: lifetime - ms, there: true},
			{used: often(lifetime - w.grain), at: lifetime},
			{used: often(lifetime - w.grain), at: lifetime + ms},
		} {
			start := w.Now()
			key := w.start(t, w.of("ann", "browser"))
			for _, at := range c.used {
				w.pass(start.Add(at).Sub(w.Now()))
				w.wantExpires(t, key, session.Extend, min(idle, lifetime-at))
			}
			w.pass(start.Add(c.at).Sub(w.Now()))
			_, err := w.Find(t.Context(), key, touch, nil)
			var want error
			if !c.there {
				want = session.ErrNone
			}
			wantError(t, err, want)
		}
	}
}

// often returns times of use that keep a session alive until last.
func often(last time.Duration) []time.Duration {
	var times []time.Duration
	for at := idle - ms; at < last; at += idle - ms {
		times = append(times, at)
	}
	return append(times, last)
}

func deadlineBeforeIdleHolds(t *testing.T, w *world) {
	w.reopen(session.Limits{Idle: idle, Lifetime: 10 * time.Minute, Now: w.Now})
	key := w.start(t, w.of("ann", ""))
	for _, touch := range []session.Touch{session.Peek, session.Extend, session.Peek} {
		w.wantExpires(t, key, touch, 10*time.Minute)
	}
	w.pass(10*time.Minute - w.grain)
	w.wantExpires(t, key, session.Extend, w.grain)
	w.wantExpires(t, key, session.Peek, w.grain)
	w.pass(w.grain)
	w.wantGone(t, key)
}

func peekNeverExtends(t *testing.T, w *world) {
	key := w.start(t, w.of("ann", "browser"))
	w.wantExpires(t, key, session.Peek, idle)
	w.pass(10 * time.Minute)
	w.wantExpires(t, key, session.Peek, idle-10*time.Minute)
	w.wantExpires(t, key, session.Extend, idle)
	w.wantExpires(t, key, session.Peek, idle)
	w.pass(idle - ms)
	w.wantExpires(t, key, session.Peek, ms)
	w.pass(ms)
	w.wantGone(t, key)
}

func extendNeverMovesTheDeadline(t *testing.T, w *world) {
	key := w.start(t, w.of("ann", "browser"))
	start := w.Now()
	for _, at := range often(lifetime - w.grain) {
		w.pass(start.Add(at).Sub(w.Now()))
		for range 3 {
			w.wantExpires(t, key, session.Extend, min(idle, lifetime-at))
		}
		w.wantExpires(t, key, session.Peek, min(idle, lifetime-at))
	}
	w.pass(w.grain)
	w.wantGone(t, key)
}

// The session stays expired both while the server still holds it and after the
// server has removed it.
func expiredIsNotRevived(t *testing.T, w *world) {
	for _, pass := range []func(time.Duration){w.move, w.pass} {
		key := w.start(t, w.of("ann", "browser"))
		pass(idle)
		for range 2 {
			_, err := w.Find(t.Context(), key, session.Extend, nil)
			wantError(t, err, session.ErrNone)
			w.wantGone(t, key)
		}
		w.end(t, session.Selector{Subject: w.run + "ann"}, 0)
		w.end(t, session.Selector{SID: w.run + "browser"}, 0)
	}
}

// The bounds hold for concurrent callers.
func manyAtOnce(t *testing.T, w *world) {
	const callers = 100
	onces := make([]string, 50) // two callers use each
	for i := range onces {
		onces[i] = rand.Text()
	}
	results := make(chan error, callers)
	keys := make([]session.Key, callers)
	for i := range callers {
		keys[i] = newKey()
		go func() {
			_, err := w.Start(t.Context(), keys[i], w.of("ann", "browser"), session.SignIn{Began: w.Now(), Once: onces[i%len(onces)]})
			results <- err
		}()
	}
	started := 0
	for range callers {
		if err := <-results; err == nil {
			started++
		} else {
			wantError(t, err, session.ErrUsed)
		}
	}
	if started != len(onces) {
		t.Errorf("%d sign-ins have started %d sessions", len(onces), started)
	}
	w.end(t, session.Selector{Subject: w.run + "ann"}, 32)
	w.wantGone(t, keys...)
}
