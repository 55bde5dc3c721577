package session_test

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"dropgate/internal/auth/session"
)

// lookAlikes returns names that a careless store confuses.
func lookAlikes() []string {
	long := strings.Repeat("x", 10<<10)
	return []string{
		"", " ", "ann", "Ann", "ANN", "ann ", " ann", "ann\n", "ann\x00", "an", "anna", "ann:", "ann:a", "ann:a:b", ":ann", ":",
		"*", "a*", "?nn", "[a]nn", "{ann}", "ann}", "%", "a%n", "a_n", "\n", "\r\n", "ann\r\nDEL ann", "$3\r\nann", `"ann"`, "'ann'",
		"ann'; return 1 --", "1", "01", "1.0", "1e0", "-1", "nil", "null", "false", "é", "e\u0301", "ß", "ss", "K", "\u212a", "k",
		"İ", "i", "ı", "🦆", "subject", "dropgate:subject:", long, long + "x", long[1:] + "X",
	}
}

// Ending one subject's sessions ends no other's.
func similarSubjectsAreDistinct(t *testing.T, w *world) {
	keys := map[string]session.Key{}
	for _, name := range lookAlikes() {
		keys[name] = w.start(t, w.of(name, ""))
	}
	for _, name := range lookAlikes() {
		ended := w.end(t, session.Selector{Subject: w.run + name}, 1)
		if ended[0].Subject != w.run+name {
			t.Fatalf("ended a session of %.20q, want %.20q", ended[0].Subject, w.run+name)
		}
		w.wantGone(t, keys[name])
	}
}

func similarSIDsAreDistinct(t *testing.T, w *world) {
	keys := map[string]session.Key{}
	for i, name := range lookAlikes() {
		s := w.of([]string{"ann", "bob"}[i%2], "")
		s.SID = w.run + name
		keys[name] = w.start(t, s)
	}
	for i, name := range lookAlikes() {
		which := session.Selector{SID: w.run + name}
		if i%3 == 0 {
			which.Subject = w.run + []string{"ann", "bob"}[i%2]
		}
		ended := w.end(t, which, 1)
		if ended[0].SID != w.run+name {
			t.Fatalf("ended a session of %.20q, want %.20q", ended[0].SID, w.run+name)
		}
		w.wantGone(t, keys[name])
	}
}

func subjectsAreNoSIDs(t *testing.T, w *world) {
	ann, bob := w.start(t, w.of("ann", "bob")), w.start(t, w.of("bob", "ann"))
	w.end(t, session.Selector{Subject: w.run + "ann"}, 1)
	w.wantThere(t, bob)
	w.end(t, session.Selector{SID: w.run + "bob"}, 0)
	w.end(t, session.Selector{SID: w.run + "ann"}, 1)
	w.wantGone(t, ann, bob)
}

// fill starts the maximum number of sessions of a subject, a second apart.
func (w *world) fill(t *testing.T, subject string) []session.Key {
	t.Helper()
	keys := make([]session.Key, 32)
	for i := range keys {
		keys[i] = w.start(t, w.of(subject, "a"))
		w.pass(time.Second)
	}
	return keys
}

// displace starts a session and fails the test unless n others end.
func (w *world) displace(t *testing.T, subject string, n int) session.Key {
	t.Helper()
	key := newKey()
	if ended, err := w.Start(t.Context(), key, w.of(subject, "b"), session.SignIn{Began: w.Now(), Once: rand.Text()}); ended != (session.Ended{Displaced: n}) || err != nil {
		t.Fatalf("ended %v, error %v, want %d displaced", ended, err, n)
	}
	return key
}

func the33rdEndsTheOldest(t *testing.T, w *world) {
	keys := w.fill(t, "ann")
	for i := range 5 {
		w.wantThere(t, keys[i:]...)
		keys = append(keys, w.displace(t, "ann", 1))
		w.pass(time.Second)
		w.wantGone(t, keys[:i+1]...)
		w.wantThere(t, keys[i+1:]...)
	}
	w.end(t, session.Selector{SID: w.run + "a"}, 32-5) // the SID index has forgotten the displaced
	w.end(t, session.Selector{Subject: w.run + "ann"}, 5)
}

// Ended and expired sessions do not count, even in the middle.
func endedDoNotCount(t *testing.T, w *world) {
	keys := w.fill(t, "ann")
	w.end(t, session.Selector{Key: keys[20]}, 1)
	keys[20] = w.displace(t, "ann", 0)
	w.pass(idle - 33*time.Second) // the first expires in a second
	for _, key := range keys[:16] {
		w.wantExpires(t, key, session.Extend, idle)
	}
	w.end(t, session.Selector{}, 0) // Memory sweeps now and not for a minute
	w.pass(34 * time.Second)        // the others expire
	w.wantGone(t, keys[16:]...)
	for range 16 {
		w.displace(t, "ann", 0)
		w.pass(ms)
	}
	w.wantThere(t, keys[:16]...)
	w.displace(t, "ann", 1)
	w.wantGone(t, keys[0])
	w.wantThere(t, keys[1:16]...)
}

func useKeepsTheOldest(t *testing.T, w *world) {
	keys := w.fill(t, "ann")
	_, err := w.Find(t.Context(), keys[0], session.Extend, nil)
	wantError(t, err, nil)
	w.displace(t, "ann", 1)
	w.wantGone(t, keys[0])
	w.wantThere(t, keys[1:]...)
}

func boundIsPerSubject(t *testing.T, w *world) {
	ann, bob := w.fill(t, "ann"), w.fill(t, "bob")
	w.wantThere(t, ann...)
	w.wantThere(t, bob...)
	w.displace(t, "bob", 1)
	w.wantThere(t, ann...)
	w.wantGone(t, bob[0])
	w.displace(t, "carl", 0)
}

func refusedDisplacesNone(t *testing.T, w *world) {
	once := rand.Text()
	w.end(t, session.Selector{Once: once}, 0)
	keys := w.fill(t, "ann")
	_, err := w.Start(t.Context(), newKey(), w.of("ann", "a"), session.SignIn{Began: w.Now(), Once: once})
	wantError(t, err, session.ErrUsed)
	w.wantThere(t, keys...)
}
