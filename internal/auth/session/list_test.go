package session_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dropgate/internal/auth/session"
)

// list returns a user's sessions, and fails the test unless there are n.
func (w *world) list(t fataler, who session.Selector, n int) []session.Listed {
	t.Helper()
	all, err := w.List(context.Background(), who)
	if len(all) != n || err != nil {
		t.Fatalf("listed %d sessions, error %v, want %d", len(all), err, n)
	}
	return all
}

// startAs starts a session of a user with a subject.
func (w *world) startAs(t fataler, user, subject string) session.Key {
	t.Helper()
	s := w.of(subject, "")
	s.User.ID = user
	return w.start(t, s)
}

func listShowsSessions(t *testing.T, w *world) {
	began := w.Now()
	first := w.start(t, w.of("ann", "a"))
	w.pass(time.Minute)
	w.start(t, w.of("ann", ""))
	w.start(t, w.of("bob", ""))
	w.pass(time.Minute)
	w.wantExpires(t, first, session.Extend, idle)
	all := w.list(t, session.Selector{User: "ann"}, 2)
	for i, want := range []session.Listed{
		{Started: began.Add(time.Minute), Used: began.Add(time.Minute)},
		{Started: began, Used: began.Add(2 * time.Minute)},
	} {
		want.UserID, want.Handle = "ann", all[i].Handle
		want.Expires, want.Deadline = want.Used.Add(idle), want.Started.Add(lifetime)
		if got := fmt.Sprint(utc(all[i])); got != fmt.Sprint(utc(want)) {
			t.Errorf("session %d: %s, want %s", i, got, fmt.Sprint(utc(want)))
		}
	}
	if again := w.list(t, session.Selector{User: "ann"}, 2); again[0].Handle != all[0].Handle || all[0].Handle == all[1].Handle {
		t.Error("a handle changes, or two sessions share one")
	}
	w.wantExpires(t, first, session.Peek, idle)
	w.list(t, session.Selector{User: "nobody"}, 0)
	w.list(t, session.Selector{User: "carl", Subject: w.run + "ann"}, 2)
	w.list(t, session.Selector{}, 0)
	w.pass(idle)
	w.list(t, session.Selector{User: "ann"}, 0)
}

// utc returns s with all times in UTC.
func utc(s session.Listed) session.Listed {
	for _, at := range []*time.Time{&s.Started, &s.Used, &s.Expires, &s.Deadline} {
		*at = at.UTC()
	}
	return s
}

// Users may share a user id: their subjects are different.
func listIsBounded(t *testing.T, w *world) {
	var last session.Key
	for i := range session.MaxListed + 20 {
		last = w.startAs(t, "team", fmt.Sprint("member ", i/20))
		w.pass(ms)
	}
	w.pass(time.Minute)
	w.wantExpires(t, last, session.Extend, idle)
	if all := w.list(t, session.Selector{User: "team"}, session.MaxListed); !all[0].Used.Equal(w.Now()) {
		t.Errorf("the newest session is not the first: %v", all[0])
	}
	w.end(t, session.Selector{User: "team"}, session.MaxListed+20)
	w.list(t, session.Selector{User: "team"}, 0)
}

func handleIsNoID(t *testing.T, w *world) {
	id := session.NewID().Reveal()
	key, _ := session.KeyOf(id)
	_, err := w.Start(t.Context(), key, w.of("ann", ""), session.SignIn{Began: w.Now(), Once: rand.Text()})
	wantError(t, err, nil)
	handle := w.list(t, session.Selector{User: "ann"}, 1)[0].Handle
	if _, ok := session.KeyOf(handle.String()); ok {
		t.Error("a handle looks like a session id")
	}
	w.wantGone(t, session.Key(handle))
	if session.Key(handle) == key || strings.Contains(handle.String(), id) {
		t.Error("the handle is the key")
	}
	if again, ok := session.ParseHandle(handle.String()); !ok || again != handle {
		t.Errorf("%s is read as %s", handle, again)
	}
	if upper := strings.ToUpper(handle.String()); upper != handle.String() {
		if _, ok := session.ParseHandle(upper); ok {
			t.Errorf("%q is a handle", upper)
		}
	}
	for _, bad := range []string{"", id, handle.String()[1:], handle.String() + "0", "X" + handle.String()[1:]} {
		if _, ok := session.ParseHandle(bad); ok {
			t.Errorf("%q is a handle", bad)
		}
	}
}

func endByHandle(t *testing.T, w *world) {
	one, other, bobs := w.start(t, w.of("ann", "a")), w.start(t, w.of("ann", "a")), w.start(t, w.of("bob", "a"))
	began := w.Now()
	w.pass(ms)
	var handles []session.Handle
	for _, s := range w.list(t, session.Selector{User: "ann"}, 2) {
		handles = append(handles, s.Handle)
	}
	ended := w.end(t, session.Selector{Handle: handles[0]}, 1)
	if ended[0].User.ID != "ann" || ended[0].Subject != w.run+"ann" {
		t.Errorf("ended a session of %q", ended[0].User.ID)
	}
	w.end(t, session.Selector{Handle: handles[0]}, 0)
	w.end(t, session.Selector{Handle: session.Handle{1}}, 0)
	if left := w.list(t, session.Selector{User: "ann"}, 1); left[0].Handle != handles[1] {
		t.Error("the other session is left")
	}
	w.wantThere(t, bobs)
	w.end(t, session.Selector{Handle: handles[1]}, 1)
	w.wantGone(t, one, other)
	// One session's end is no logout of its user.
	_, err := w.Start(t.Context(), newKey(), w.of("ann", "a"), session.SignIn{Began: began, Once: rand.Text()})
	wantError(t, err, nil)
}

func endByUser(t *testing.T, w *world) {
	one, two := w.startAs(t, "ann", "work"), w.startAs(t, "ann", "home")
	renamed := w.startAs(t, "anna", "work")
	others := []session.Key{w.startAs(t, "bob", "ann"), w.startAs(t, "Ann", "capital"), w.startAs(t, "an", "short")}
	w.end(t, session.Selector{User: "ann"}, 2)
	w.wantGone(t, one, two)
	w.wantThere(t, append(others, renamed)...)
	w.end(t, session.Selector{User: "ann"}, 0)
	one = w.startAs(t, "ann", "home")
	w.end(t, session.Selector{User: "ann", Subject: w.run + "work"}, 2)
	w.wantGone(t, one, renamed)
	w.wantThere(t, others...)
}

func endByUserRefusesSignIns(t *testing.T, w *world) {
	began := w.Now()
	w.pass(time.Second)
	w.end(t, session.Selector{User: "ann"}, 0)
	_, err := w.Start(t.Context(), newKey(), w.of("ann", ""), session.SignIn{Began: began, Once: rand.Text()})
	wantError(t, err, session.ErrLoggedOut)
	_, err = w.Start(t.Context(), newKey(), w.of("bob", ""), session.SignIn{Began: began, Once: rand.Text()})
	wantError(t, err, nil)
	w.start(t, w.of("ann", ""))
}

// Sign-ins run while two operators end the user's sessions. Each session that ends is
// reported once, and the second end leaves none of the earlier ones.
func endByUserForOneCaller(t *testing.T, w *world) {
	for range 20 {
		w.start(t, w.of("ann", ""))
	}
	var all sync.WaitGroup
	var ended, started atomic.Int32
	began := w.Now()
	for range 4 {
		all.Go(func() {
			some, err := w.End(t.Context(), session.Selector{User: "ann"})
			if ended.Add(int32(len(some))); err != nil {
				t.Error(err)
			}
		})
		all.Go(func() {
			if _, err := w.Start(t.Context(), newKey(), w.of("ann", ""), session.SignIn{Began: began, Once: rand.Text()}); err == nil {
				started.Add(1)
			}
		})
	}
	all.Wait()
	w.end(t, session.Selector{User: "ann"}, int(20+started.Load()-ended.Load()))
	w.list(t, session.Selector{User: "ann"}, 0)
}
