package session_test

import (
	"context"
	"crypto/rand"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dropgate/internal/auth/session"
)

// A store and a simple model must agree after each random step.
func TestStoresFollowTheModel(t *testing.T) {
	for _, kind := range []string{"Memory", "miniredis"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := stores[kind](t)
			playModel(t, w, &model{pass: w.pass, reuse: true})
		})
	}
}

// Only the callers' clocks move, so Redis expires nothing. Single-use ids expire by
// the server's clock, so no step repeats one.
func TestStoresFollowTheModelWithoutServerExpiry(t *testing.T) {
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
		if w.keysIn != nil {
			w.keysIn.wipe(w.client)
		}
	})
}

// model is the expected content of a store. Rapid picks its exported methods as
// steps and runs Check after each.
type model struct {
	w     *world
	pass  func(time.Duration)
	reuse bool // some steps repeat a single-use id

	sessions []*modeled // oldest first
	onces    []string
	used     map[string]time.Time // when each expires
	turn     int                  // index of the last check
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

// once draws a single-use id and reports whether it is unused.
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
	s := m.w.of(rapid.SampledFrom([]string{"ann", "bob"}).Draw(t, "subject"), rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "SID"))
	s.User.ID = m.w.run + s.User.ID
	return s
}

// start signs a user in and replaces a session, unless it is nil.
func (m *model) start(t *rapid.T, s session.Stored, replaces *modeled) {
	m.pass(ms) // all ages differ
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

// Start signs a user in.
func (m *model) Start(t *rapid.T) { m.start(t, m.draw(t), nil) }

// StartAgain signs a user in and replaces any earlier session.
func (m *model) StartAgain(t *rapid.T) {
	if len(m.sessions) == 0 {
		t.Skip("there are no sessions")
	}
	m.start(t, m.draw(t), rapid.SampledFrom(m.sessions).Draw(t, "session"))
}

// StartMany signs a user in several times.
func (m *model) StartMany(t *rapid.T) {
	s := m.draw(t)
	for range rapid.IntRange(5, 15).Draw(t, "sessions") {
		m.start(t, s, nil)
	}
}

// Extend extends a session, sel may have ended.
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

// End ends sessions by a random selector.
func (m *model) End(t *rapid.T) {
	sel := session.Selector{}
	if len(m.sessions) > 0 && rapid.Bool().Draw(t, "key") {
		sel.Key = rapid.SampledFrom(m.sessions).Draw(t, "session").key
	} else {
		s := m.draw(t)
		sel.SID = s.SID
		if rapid.Bool().Draw(t, "by subject") {
			sel.Subject = s.Subject
		}
		if rapid.Bool().Draw(t, "by user") {
			sel.User, sel.SID = m.draw(t).User.ID, ""
		}
	}
	good := true
	if rapid.Bool().Draw(t, "once only") {
		sel.Once, good = m.once(t)
	}
	ended, err := m.w.End(context.Background(), sel)
	if !good {
		wantError(t, err, session.ErrUsed)
		return
	}
	wantError(t, err, nil)
	want := 0
	for _, s := range m.sessions {
		if m.good(s) && selects(sel, s) {
			s.ended = true
			want++
		}
	}
	if len(ended) != want {
		t.Fatalf("ended %d sessions, want %d", len(ended), want)
	}
}

func selects(sel session.Selector, s *modeled) bool {
	switch {
	case sel.User != "":
		return s.session.User.ID == sel.User || s.session.Subject == sel.Subject
	case sel.Subject != "" && sel.SID != "":
		return s.session.Subject == sel.Subject && (s.session.SID == sel.SID || s.session.SID == "")
	case sel.Subject != "":
		return s.session.Subject == sel.Subject
	case sel.SID != "":
		return s.session.SID == sel.SID
	default:
		return s.key == sel.Key
	}
}

// Pass moves the clock.
func (m *model) Pass(t *rapid.T) {
	grain := m.w.grain
	m.pass(rapid.SampledFrom([]time.Duration{
		grain, time.Minute, 5 * time.Minute, remembered - grain, remembered,
		idle - grain, idle, lifetime / 4,
	}).Draw(t, "time"))
}

// Check compares three sessions, the next three after the next step.
func (m *model) Check(t *rapid.T) {
	for range min(3, len(m.sessions)) {
		m.turn = (m.turn + 1) % len(m.sessions)
		m.check(t, m.sessions[m.turn])
	}
	m.checkList(t, m.w.run+"ann")
}

// checkList compares the list of a user's sessions.
func (m *model) checkList(t *rapid.T, user string) {
	var want []time.Time
	for _, s := range slices.Backward(m.sessions) {
		if m.good(s) && s.session.User.ID == user {
			want = append(want, s.deadline)
		}
	}
	all, err := m.w.List(context.Background(), session.Selector{User: user})
	var got []time.Time
	for _, s := range all {
		got = append(got, s.Deadline)
	}
	if !slices.EqualFunc(got, want, time.Time.Equal) || err != nil {
		t.Fatalf("listed %v (error %v), want %v", got, err, want)
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
