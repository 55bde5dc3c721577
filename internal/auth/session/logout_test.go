package session_test

import (
	"crypto/rand"
	"testing"
	"time"

	"dropgate/internal/auth/session"
)

// A logout during a sign-in prevents its session, even if no session ended.
func logoutRefusesSignInsInProgress(t *testing.T, w *world) {
	for name, c := range map[string]struct {
		which        session.Selector
		subject, sid string
		refused      bool
	}{
		"the subject":                  {session.Selector{Subject: "ann"}, "ann", "a", true},
		"the subject, no sid":          {session.Selector{Subject: "ann"}, "ann", "", true},
		"another subject":              {session.Selector{Subject: "bob"}, "ann", "a", false},
		"the sid":                      {session.Selector{SID: "a"}, "ann", "a", true},
		"another sid":                  {session.Selector{SID: "b"}, "ann", "a", false},
		"the sid, session without":     {session.Selector{SID: "a"}, "ann", "", false},
		"both":                         {session.Selector{Subject: "ann", SID: "a"}, "ann", "a", true},
		"both, session without sid":    {session.Selector{Subject: "ann", SID: "a"}, "ann", "", true},
		"the subject with another sid": {session.Selector{Subject: "ann", SID: "b"}, "ann", "a", false},
		"the sid with another subject": {session.Selector{Subject: "bob", SID: "a"}, "ann", "a", false},
		"a subject equal to the sid":   {session.Selector{Subject: "a"}, "ann", "a", false},
		"an empty selector":            {session.Selector{}, "ann", "a", false},
	} {
		t.Run(name, func(t *testing.T) {
			w.run = rand.Text()
			if c.which.Subject != "" {
				c.which.Subject = w.run + c.which.Subject
			}
			if c.which.SID != "" {
				c.which.SID = w.run + c.which.SID
			}
			began := w.Now()
			w.pass(time.Second)
			w.end(t, c.which, 0)
			w.pass(time.Second)
			key, once := newKey(), rand.Text()
			ended, err := w.Start(t.Context(), key, w.of(c.subject, c.sid), session.SignIn{Began: began, Once: once})
			if !c.refused {
				wantError(t, err, nil)
				return
			}
			if wantError(t, err, session.ErrLoggedOut); ended != (session.Ended{}) {
				t.Errorf("ended %v", ended)
			}
			w.wantGone(t, key)
			w.start(t, w.of(c.subject, c.sid)) // a later sign-in works
		})
	}
}

// The longest sign-in takes 10 minutes.
func logoutIsRemembered(t *testing.T, w *world) {
	began := w.Now()
	w.pass(time.Second)
	w.end(t, session.Selector{Subject: w.run + "ann"}, 0)
	try := func(want error) {
		t.Helper()
		_, err := w.Start(t.Context(), newKey(), w.of("ann", "a"), session.SignIn{Began: began, Once: rand.Text()})
		wantError(t, err, want)
	}
	w.pass(remembered - w.grain)
	try(session.ErrLoggedOut)
	w.pass(w.grain)
	w.pass(time.Minute) // Memory sweeps once a minute
	w.end(t, session.Selector{}, 0)
	try(nil)
}

// A repeated logout token ends no session and refuses no sign-in.
func repeatedLogoutRefusesNothing(t *testing.T, w *world) {
	once := rand.Text()
	w.end(t, session.Selector{Once: once}, 0)
	began := w.Now()
	w.pass(time.Second)
	_, err := w.End(t.Context(), session.Selector{Subject: w.run + "ann", Once: once})
	wantError(t, err, session.ErrUsed)
	_, err = w.Start(t.Context(), newKey(), w.of("ann", ""), session.SignIn{Began: began})
	wantError(t, err, nil)
}

// Over reports the end of a found session.
func foundSessionKnowsItsEnd(t *testing.T, w *world) {
	ways := map[string]func(key session.Key){
		"by its key":     func(key session.Key) { w.end(t, session.Selector{Key: key}, 1) },
		"by its subject": func(session.Key) { w.end(t, session.Selector{Subject: w.run + "ann"}, 1) },
		"by its sid":     func(session.Key) { w.end(t, session.Selector{SID: w.run + "a"}, 1) },
		"by another sign-in": func(key session.Key) {
			w.replace(t, w.of("bob", ""), key, session.Ended{Replaced: 1})
		},
		"by too many sign-ins": func(session.Key) {
			for range 31 {
				w.pass(ms)
				w.start(t, w.of("ann", "b"))
			}
			w.pass(ms)
			w.displace(t, "ann", 1)
		},
	}
	for name, end := range ways {
		t.Run(name, func(t *testing.T) {
			w.run = rand.Text()
			key := w.start(t, w.of("ann", "a"))
			found, err := w.Find(t.Context(), key, session.Peek, nil)
			wantError(t, err, nil)
			if found.Over() {
				t.Error("Over before the end")
			}
			end(key)
			if !found.Over() {
				t.Error("not Over after the end")
			}
		})
	}
}
