package app

import (
	"slices"
	"time"

	"github.com/rs/zerolog"
)

// outageLog logs the outages of dependencies: one line for the beginning, with the reason,
// and one for the end. It also logs stores that answer late or lose connections.
type outageLog struct {
	log   zerolog.Logger
	all   []watched
	known map[string]*condition // by dependency.what
}

// condition is what the checks have shown about a dependency.
type condition struct {
	up, down int       // checks in a row
	reason   string    // of the last outage
	same     int       // failed checks in a row with this reason
	logged   []string  // the reasons logged during this outage
	last     time.Time // of the last line about an outage
	late     symptom
	breaking symptom
	lost     uint64 // connections until the last check
}

const (
	// steady is how many checks in a row show that a dependency works again, that it is
	// late, or that another reason is not only a passing one.
	steady = 3
	// patience is how many checks in a row must fail before the log names a dependency
	// that another one may explain. A check of writes may be five seconds old.
	patience = 5
	// outageEvery and symptomEvery limit the lines about a dependency that comes and
	// goes.
	outageEvery  = 10 * time.Second
	symptomEvery = time.Minute
	// lateAfter is the time from which a store's answer counts as late. Those in the
	// same region take a few milliseconds.
	lateAfter = 100 * time.Millisecond
	// lossesEach is how many connections a store must lose between two checks to count
	// as one that loses connections.
	lossesEach = 3
)

func newOutageLog(log zerolog.Logger, all []watched) *outageLog {
	l := &outageLog{log: log, all: all, known: map[string]*condition{}}
	for _, d := range all {
		l.known[d.what] = &condition{}
	}
	return l
}

// note notes the findings of one round of checks.
func (l *outageLog) note(found []finding) {
	for i, d := range l.all {
		l.known[d.what].count(d, found[i].err)
	}
	for i, d := range l.all {
		if !d.silent {
			l.outage(d, found[i].err)
			l.symptoms(d, found[i])
		}
	}
}

func (c *condition) count(d watched, err error) {
	if err == nil {
		c.up, c.down, c.same = c.up+1, 0, 0
		return
	}
	reason := d.reason(err)
	if reason != c.reason {
		c.same = 0
	}
	c.up, c.down, c.same, c.reason = 0, c.down+1, c.same+1, reason
}

// outage logs the beginning and the end of an outage.
func (l *outageLog) outage(d watched, err error) {
	c := l.known[d.what]
	switch {
	case err == nil && c.logged != nil:
		c.logged = nil
		l.log.Info().Str("found", d.what).Msg("dependency recovered")
	case err != nil && l.worthALine(d, c):
		c.logged, c.last = append(c.logged, c.reason), time.Now()
		message := "dependency unavailable"
		if d.own {
			message = "not ready: dependency unavailable"
		}
		l.log.Warn().Str("missing", d.what).Str("reason", c.reason).Err(err).Msg(message)
	}
}

// worthALine reports whether an outage, or another reason of it, needs a line.
func (l *outageLog) worthALine(d watched, c *condition) bool {
	switch {
	case len(d.because) > 0 && (c.down < patience || l.explained(d)):
		return false
	case c.logged == nil && c.reason == d.system+": "+string(connectionClosed) && c.down < steady:
		return false // perhaps only some connections break
	case c.logged == nil:
		return time.Since(c.last) >= outageEvery
	}
	return c.same >= steady && !slices.Contains(c.logged, c.reason)
}

// explained reports whether the outage of another dependency, which may just have ended,
// explains this one.
func (l *outageLog) explained(d watched) bool {
	return slices.ContainsFunc(d.because, func(what string) bool {
		c, known := l.known[what]
		return known && c.up < patience
	})
}

// symptoms logs a store that works, but loses connections or answers late.
func (l *outageLog) symptoms(d watched, f finding) {
	if d.lost != nil {
		l.losses(d)
	}
	if d.asked {
		l.lateness(d, f)
	}
}

func (l *outageLog) losses(d watched) {
	c, lost := l.known[d.what], d.lost()
	more := max(lost, c.lost) - c.lost // a cluster may forget a node
	c.lost = lost
	if c.logged != nil { // the outage explains them
		c.breaking.shown = 0
		return
	}
	if more >= lossesEach {
		c.breaking.isThere()
	} else {
		c.breaking.isAway()
	}
	switch {
	case c.up > 0 && c.breaking.begins():
		l.log.Warn().Str("dependency", d.what).Uint64("connections_lost", more).Msg("connections to a dependency break")
	case c.breaking.ends():
		l.log.Info().Str("dependency", d.what).Msg("connections to a dependency no longer break")
	}
}

func (l *outageLog) lateness(d watched, f finding) {
	c := l.known[d.what]
	if f.err == nil && f.took >= lateAfter {
		c.late.isThere()
	} else {
		c.late.isAway()
	}
	switch {
	case c.late.begins():
		l.log.Warn().Str("dependency", d.what).Dur("took_ms", f.took).Msg("a dependency answers late")
	case c.late.ends():
		l.log.Info().Str("dependency", d.what).Dur("took_ms", f.took).Msg("a dependency answers in time again")
	}
}

// symptom is something that several checks in a row must show.
type symptom struct {
	shown, absent int // checks in a row
	logged        bool
	last          time.Time // of the last line about its beginning
}

func (s *symptom) isThere() { s.shown, s.absent = s.shown+1, 0 }
func (s *symptom) isAway()  { s.shown, s.absent = 0, s.absent+1 }

// begins reports whether to log the beginning now.
func (s *symptom) begins() bool {
	if s.logged || s.shown < steady || time.Since(s.last) < symptomEvery {
		return false
	}
	s.logged, s.last = true, time.Now()
	return true
}

// ends reports whether to log the end now.
func (s *symptom) ends() bool {
	if !s.logged || s.absent < steady {
		return false
	}
	s.logged = false
	return true
}
