package session_test

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dropgate/internal/auth/session"
)

// Random sign-ins, uses and logouts on a store and on a list: the two must
// agree after each step.
func TestStoresFollowTheModel(t *testing.T) {
	for _, kind := range []string{"Memory", "miniredis"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := stores[kind](t)
			playModel(t, w, &model{pass: w.pass, reuse: true})
		})
	}
}

// The same while only the callers' clocks move, so that Redis removes nothing
// by itself. It does not remember by those clocks what was used, so nothing is
// used twice.
func TestStoresFollowTheModelWhileNothingIsTidiedUp(t *testing.T) {
	for _, kind := range []string{"Memory", "Redis", "miniredis"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := stores[kind](t)
			playModel(t, w, &model{pass: w.move})
		})
	}
}

func playModel(t *testing.T, w *world, m *model) {
	rapid.Check(t, func(t *rapid.T) {
		w.run = rand.Text()
		m := &model{w: w, pass: m.pass, reuse: m.reuse, used: map[string]time.Time{}}
		t.Repeat(rapid.StateMachineActions(m))
		for _, s := range m.sessions {
			m.check(t, s)
		}
		if w.prints != nil {
			w.prints.wipe(w.client)
		}
	})
}

// model is what a store should hold. Its exported methods are the steps that
// rapid picks from; Check runs after each.
type model struct {
	w     *world
	pass  func(time.Duration)
	reuse bool // whether anything is used twice

	sessions []*modeled // in the order of their start
	onces    []string
	used     map[string]time.Time // until when
	turn     int                  // which was looked at last
}

type modeled struct {
	key            session.Key
	session        session.Stored
	idle, deadline time.Time
	ended          bool
}

func (m *model) good(s *modeled) bool {
	now := m.w.Now()
	return !s.ended && now.Before(s.idle) && now.Before(s.deadline)
}

// once draws something to use, and reports whether it is good.
func (m *model) once(t *rapid.T) (string, bool) {
	once := rand.Text()
	if m.reuse && len(m.onces) > 0 && rapid.Bool().Draw(t, "use again") {
		once = rapid.SampledFrom(m.onces).Draw(t, "once")
	} else {
		m.onces = append(m.onces, once)
	}
	if m.w.Now().Before(m.used[once]) {
		return once, false
	}
	m.used[once] = m.w.Now().Add(remembered)
	return once, true
}

func (m *model) draw(t *rapid.T) session.Stored {
	return m.w.of(rapid.SampledFrom([]string{"ann", "bob"}).Draw(t, "subject"), rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "SID"))
}

// start signs somebody in, in the place of the session that they have, which is
// nil for none.
func (m *model) start(t *rapid.T, s session.Stored, replaces *modeled) {
	m.pass(ms) // no two are of the same age
	key := newKey()
	want := session.Ended{}
	by := session.SignIn{Began: m.w.Now()}
	if replaces != nil {
		by.Replaces = replaces.key
	}
	once, good := m.once(t)
	by.Once = once
	got, err := m.w.Start(context.Background(), key, s, by)
	if !good {
		wantError(t, err, session.ErrUsed)
		return
	}
	wantError(t, err, nil)
	if replaces != nil && m.good(replaces) {
		replaces.ended = true
		want.Replaced = 1
	}
	var others []*modeled
	for _, other := range m.sessions {
		if m.good(other) && other.session.Subject == s.Subject {
			others = append(others, other)
		}
	}
	want.Displaced = max(0, len(others)-31)
	for _, other := range others[:want.Displaced] {
		other.ended = true
	}
	if got != want {
		t.Fatalf("ended %v, want %v", got, want)
	}
	now := m.w.Now()
	m.sessions = append(m.sessions, &modeled{key, s, now.Add(idle), now.Add(lifetime), false})
}

// Start signs somebody in.
func (m *model) Start(t *rapid.T) { m.start(t, m.draw(t), nil) }

// StartAgain signs somebody in who was, or whom somebody else was before in the
// same browser.
func (m *model) StartAgain(t *rapid.T) {
	if len(m.sessions) == 0 {
		t.Skip("there are no sessions")
	}
	m.start(t, m.draw(t), rapid.SampledFrom(m.sessions).Draw(t, "session"))
}

// StartMany signs somebody in from everywhere.
func (m *model) StartMany(t *rapid.T) {
	s := m.draw(t)
	for range rapid.IntRange(5, 15).Draw(t, "sessions") {
		m.start(t, s, nil)
	}
}

// Extend uses a session, which may be over.
func (m *model) Extend(t *rapid.T) {
	if len(m.sessions) == 0 {
		t.Skip("there are no sessions")
	}
	s := rapid.SampledFrom(m.sessions).Draw(t, "session")
	good := m.good(s)
	_, err := m.w.Find(context.Background(), s.key, session.Extend, nil)
	if !good {
		wantError(t, err, session.ErrNone)
		return
	}
	wantError(t, err, nil)
	s.idle = m.w.Now().Add(idle)
}

// End ends what it may.
func (m *model) End(t *rapid.T) {
	which := session.Selector{}
	if len(m.sessions) > 0 && rapid.Bool().Draw(t, "key") {
		which.Key = rapid.SampledFrom(m.sessions).Draw(t, "session").key
	} else {
		s := m.draw(t)
		which.SID = s.SID
		if rapid.Bool().Draw(t, "by subject") {
			which.Subject = s.Subject
		}
	}
	good := true
	if rapid.Bool().Draw(t, "once only") {
		which.Once, good = m.once(t)
	}
	ended, err := m.w.End(context.Background(), which)
	if !good {
		wantError(t, err, session.ErrUsed)
		return
	}
	wantError(t, err, nil)
	want := 0
	for _, s := range m.sessions {
		if m.good(s) && means(which, s) {
			s.ended = true
			want++
		}
	}
	if len(ended) != want {
		t.Fatalf("ended %d sessions, want %d", len(ended), want)
	}
}

func means(which session.Selector, s *modeled) bool {
	switch {
	case which.Subject != "" && which.SID != "":
		return s.session.Subject == which.Subject && (s.session.SID == which.SID || s.session.SID == "")
	case which.Subject != "":
		return s.session.Subject == which.Subject
	case which.SID != "":
		return s.session.SID == which.SID
	default:
		return s.key == which.Key
	}
}

// Pass lets time pass.
func (m *model) Pass(t *rapid.T) {
	grain := m.w.grain
	m.pass(rapid.SampledFrom([]time.Duration{
		grain, time.Minute, 5 * time.Minute, remembered - grain, remembered,
		idle - grain, idle, lifetime / 4,
	}).Draw(t, "time"))
}

// Check looks at some of the sessions that there ever were, at others after
// the next step.
func (m *model) Check(t *rapid.T) {
	for range min(3, len(m.sessions)) {
		m.turn = (m.turn + 1) % len(m.sessions)
		m.check(t, m.sessions[m.turn])
	}
}

func (m *model) check(t *rapid.T, s *modeled) {
	got, err := m.w.Find(context.Background(), s.key, session.Peek, nil)
	if !m.good(s) {
		wantError(t, err, session.ErrNone)
		return
	}
	wantError(t, err, nil)
	want := s.session
	want.Expires = s.idle
	if s.deadline.Before(s.idle) {
		want.Expires = s.deadline
	}
	wantSession(t, got, want)
}
