package session_test

import (
	"crypto/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"dropgate/internal/auth/session"
)

func endByKey(t *testing.T, w *world) {
	want := w.everything(t)
	key, other := w.start(t, want), w.start(t, w.everything(t))
	got := w.end(t, session.Selector{Key: key}, 1)[0]
	got.Expires = time.Time{} // not compared
	wantSession(t, got, want)
	w.wantGone(t, key)
	w.wantThere(t, other)
}

func endTwice(t *testing.T, w *world) {
	for _, which := range []session.Selector{{}, {Subject: w.run + "ann"}, {SID: w.run + "browser"}, {Subject: w.run + "ann", SID: w.run + "browser"}} {
		key := w.start(t, w.of("ann", "browser"))
		if which == (session.Selector{}) {
			which.Key = key
		}
		w.end(t, which, 1)
		w.end(t, which, 0)
		_, err := w.Find(t.Context(), key, session.Extend, nil)
		wantError(t, err, session.ErrNone)
		w.end(t, which, 0)
		w.wantGone(t, key)
	}
}

// subjectsOf returns the subjects of sessions, sorted.
func subjectsOf(w *world, sessions []session.Stored) string {
	names := make([]string, len(sessions))
	for i, s := range sessions {
		names[i] = strings.TrimPrefix(s.Subject, w.run)
	}
	slices.Sort(names)
	return strings.Join(names, ",")
}

func endBySubject(t *testing.T, w *world) {
	ann := []session.Key{w.start(t, w.of("ann", "a")), w.start(t, w.of("ann", "b")), w.start(t, w.of("ann", "")), w.start(t, w.of("ann", "a"))}
	others := []session.Key{w.start(t, w.of("bob", "a")), w.start(t, w.of("anna", "")), w.start(t, w.of("", "b"))}
	w.end(t, session.Selector{Subject: w.run + "nobody"}, 0)
	w.wantThere(t, ann...)
	if got := subjectsOf(w, w.end(t, session.Selector{Subject: w.run + "ann"}, 4)); got != "ann,ann,ann,ann" {
		t.Errorf("ended sessions of %s", got)
	}
	w.wantGone(t, ann...)
	w.wantThere(t, others...)
	w.wantThere(t, w.start(t, w.of("ann", "a"))) // a new sign-in works
}

func endBySID(t *testing.T, w *world) {
	ended := []session.Key{w.start(t, w.of("ann", "a")), w.start(t, w.of("ann", "a")), w.start(t, w.of("bob", "a"))}
	others := []session.Key{w.start(t, w.of("ann", "b")), w.start(t, w.of("ann", "")), w.start(t, w.of("bob", "aa"))}
	w.end(t, session.Selector{SID: w.run + "c"}, 0)
	w.wantThere(t, ended...)
	if got := subjectsOf(w, w.end(t, session.Selector{SID: w.run + "a"}, 3)); got != "ann,ann,bob" {
		t.Errorf("ended sessions of %s", got)
	}
	w.wantGone(t, ended...)
	w.wantThere(t, others...)
}

// A session without a SID may be the one to end.
func endBySubjectAndSID(t *testing.T, w *world) {
	ended := []session.Key{w.start(t, w.of("ann", "a")), w.start(t, w.of("ann", "a")), w.start(t, w.of("ann", ""))}
	others := []session.Key{w.start(t, w.of("ann", "b")), w.start(t, w.of("bob", "a")), w.start(t, w.of("bob", ""))}
	w.end(t, session.Selector{Subject: w.run + "nobody", SID: w.run + "a"}, 0)
	w.wantThere(t, ended...)
	if got := subjectsOf(w, w.end(t, session.Selector{Subject: w.run + "ann", SID: w.run + "a"}, 3)); got != "ann,ann,ann" {
		t.Errorf("ended sessions of %s", got)
	}
	w.wantGone(t, ended...)
	w.wantThere(t, others...)
	// The others can still be ended by SID and by subject.
	w.end(t, session.Selector{SID: w.run + "a"}, 1)
	w.end(t, session.Selector{Subject: w.run + "ann"}, 1)
	w.wantThere(t, others[2])
}

func endOfNothing(t *testing.T, w *world) {
	keys := []session.Key{w.start(t, w.of("ann", "a")), w.start(t, w.of("ann", "")), w.start(t, w.of("", ""))}
	w.end(t, session.Selector{}, 0)
	w.end(t, session.Selector{Once: rand.Text()}, 0)
	w.end(t, session.Selector{Key: newKey()}, 0)
	w.wantThere(t, keys...)
}

func endByNamesIgnoresTheKey(t *testing.T, w *world) {
	key := w.start(t, w.of("ann", "a"))
	w.end(t, session.Selector{Key: key, Subject: w.run + "bob"}, 0)
	w.end(t, session.Selector{Key: key, SID: w.run + "b"}, 0)
	w.end(t, session.Selector{Key: key, Subject: w.run + "ann", SID: w.run + "b"}, 0)
	w.wantThere(t, key)
}

func endReturnsOnlyGood(t *testing.T, w *world) {
	for _, pass := range []func(time.Duration){w.move, w.pass} {
		for _, which := range []session.Selector{{}, {Subject: w.run + "ann"}, {SID: w.run + "a"}, {Subject: w.run + "ann", SID: w.run + "a"}} {
			expired := w.start(t, w.of("ann", "a"))
			pass(idle - time.Second) // a second, so that Memory does not sweep in between
			good := w.start(t, w.of("ann", "a"))
			pass(time.Second)
			if which == (session.Selector{}) {
				w.end(t, session.Selector{Key: expired}, 0)
				w.end(t, session.Selector{Key: good}, 1)
			} else {
				w.end(t, which, 1)
			}
			w.wantGone(t, expired, good)
		}
	}
}

// Expired and ended sessions leave the indexes.
func indexesForgetEnded(t *testing.T, w *world) {
	expired, ended := w.start(t, w.of("ann", "a")), w.start(t, w.of("ann", "b"))
	w.end(t, session.Selector{SID: w.run + "b"}, 1)
	w.wantThere(t, expired)
	w.pass(idle)
	good := w.start(t, w.of("ann", "a"))
	w.end(t, session.Selector{Subject: w.run + "ann", SID: w.run + "b"}, 0)
	w.end(t, session.Selector{SID: w.run + "b"}, 0)
	w.wantThere(t, good)
	w.wantGone(t, expired, ended)
	w.end(t, session.Selector{SID: w.run + "a"}, 1)
}

func signInStartsOne(t *testing.T, w *world) {
	first, second, once := newKey(), newKey(), rand.Text()
	_, err := w.Start(t.Context(), first, w.of("ann", "a"), session.SignIn{Began: w.Now(), Once: once})
	wantError(t, err, nil)
	w.pass(time.Minute)
	for _, subject := range []string{"ann", "mallory"} {
		ended, err := w.Start(t.Context(), second, w.of(subject, "a"), session.SignIn{Began: w.Now(), Once: once})
		if wantError(t, err, session.ErrUsed); ended != (session.Ended{}) {
			t.Errorf("ended %v", ended)
		}
	}
	w.wantGone(t, second)
	w.wantExpires(t, first, session.Peek, idle-time.Minute)
	w.end(t, session.Selector{Subject: w.run + "mallory"}, 0)
	w.end(t, session.Selector{SID: w.run + "a"}, 1)
	_, err = w.Start(t.Context(), second, w.of("ann", "a"), session.SignIn{Began: w.Now(), Once: once})
	wantError(t, err, session.ErrUsed) // the end of the session does not renew the sign-in
}

func noticeEndsOnce(t *testing.T, w *world) {
	w.start(t, w.of("ann", "a"))
	once := rand.Text()
	w.end(t, session.Selector{Subject: w.run + "ann", Once: once}, 1)
	again := w.start(t, w.of("ann", "a"))
	for _, which := range []session.Selector{{Subject: w.run + "ann"}, {SID: w.run + "a"}, {Key: again}, {}} {
		which.Once = once
		ended, err := w.End(t.Context(), which)
		if wantError(t, err, session.ErrUsed); len(ended) != 0 {
			t.Errorf("ended %d", len(ended))
		}
	}
	w.wantThere(t, again)
	w.end(t, session.Selector{Subject: w.run + "ann", Once: rand.Text()}, 1)
	// A logout token without a session is used up too.
	none := rand.Text()
	w.end(t, session.Selector{Subject: w.run + "ann", Once: none}, 0)
	_, err := w.End(t.Context(), session.Selector{Subject: w.run + "ann", Once: none})
	wantError(t, err, session.ErrUsed)
}

func onceIsOneNamespace(t *testing.T, w *world) {
	notice, signIn := rand.Text(), rand.Text()
	w.end(t, session.Selector{Once: notice}, 0)
	_, err := w.Start(t.Context(), newKey(), w.of("ann", "a"), session.SignIn{Began: w.Now(), Once: notice})
	wantError(t, err, session.ErrUsed)
	_, err = w.Start(t.Context(), newKey(), w.of("ann", "a"), session.SignIn{Began: w.Now(), Once: signIn})
	wantError(t, err, nil)
	_, err = w.End(t.Context(), session.Selector{Subject: w.run + "ann", Once: signIn})
	wantError(t, err, session.ErrUsed)
}

func usedIsRemembered(t *testing.T, w *world) {
	signIn, notice := rand.Text(), rand.Text()
	try := func(want error) {
		t.Helper()
		_, err := w.Start(t.Context(), newKey(), w.of("ann", "a"), session.SignIn{Began: w.Now(), Once: signIn})
		wantError(t, err, want)
		_, err = w.End(t.Context(), session.Selector{Once: notice})
		wantError(t, err, want)
	}
	for range 2 { // an expired id can be used again
		try(nil)
		try(session.ErrUsed)
		for range 30 { // a refusal does not extend it
			w.pass(time.Minute)
			try(session.ErrUsed)
		}
		w.pass(time.Minute - w.grain)
		try(session.ErrUsed)
		w.pass(w.grain)
	}
}

func noOnceIsNeverUsed(t *testing.T, w *world) {
	for range 3 {
		w.start(t, w.of("ann", "a"))
		w.end(t, session.Selector{Subject: w.run + "ann", Once: ""}, 1)
	}
}

func onceIsComparedByteByByte(t *testing.T, w *world) {
	for _, name := range lookAlikes() {
		w.end(t, session.Selector{Once: w.run + name}, 0)
	}
	for _, name := range lookAlikes() {
		_, err := w.End(t.Context(), session.Selector{Once: w.run + name})
		wantError(t, err, session.ErrUsed)
	}
}

// The caller that ends a session ends it at the identity provider too, so only one
// of several callers may get it.
func endedForOneCaller(t *testing.T, w *world) {
	const callers, sessions = 50, 8
	for range sessions {
		w.start(t, w.of("ann", "a"))
	}
	type result struct {
		n   int
		err error
	}
	results := make(chan result, callers)
	for i := range callers {
		go func() {
			ended, err := w.End(t.Context(), []session.Selector{{Subject: w.run + "ann"}, {SID: w.run + "a"}}[i%2])
			results <- result{len(ended), err}
		}()
	}
	sum := 0
	for range callers {
		r := <-results
		wantError(t, r.err, nil)
		sum += r.n
	}
	if sum != sessions {
		t.Errorf("%d sessions were returned %d times", sessions, sum)
	}
}
