package app

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

// rounds is an outageLog with a database, its queue, and the rate limits in a Redis.
type rounds struct {
	*outageLog

	logs bytes.Buffer
	lost uint64 // by the database
}

func newRounds() *rounds {
	r := &rounds{}
	never := func(context.Context) error { return nil }
	r.outageLog = newOutageLog(zerolog.New(&r.logs), []watched{
		{dependency: dependency{"webhook queue", "postgres", never}, because: []string{"database"}},
		{dependency: dependency{"rate limits", "redis", never}, because: []string{"session store", "redis"}},
		{dependency: dependency{"database", "postgres", never}, own: true, asked: true, lost: func() uint64 { return r.lost }},
		{dependency: dependency{"redis", "redis", never}, asked: true},
	})
	return r
}

// round is what the checks find.
type round struct {
	queue, limits, database, redis error
	took                           time.Duration // by the database
	lost                           uint64        // new ones
}

// plays notes the same findings n times, and returns the new lines.
func (r *rounds) plays(n int, found round) []string {
	r.logs.Reset()
	for range n {
		r.lost += found.lost
		r.note([]finding{{err: found.queue}, {err: found.limits}, {found.database, found.took}, {err: found.redis}})
		<-time.After(watchEvery)
	}
	return strings.Split(strings.TrimSuffix(r.logs.String(), "\n"), "\n")
}

// wantLines fails the test unless the lines are these, by one part of each.
func wantLines(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if len(want) == 0 {
		want = []string{""} // Split returns one empty line
	}
	if len(got) != len(want) {
		t.Errorf("%s: %d lines, want %d: %q", what, len(got), len(want), got)
		return
	}
	for i, line := range got {
		if !strings.Contains(line, want[i]) || (want[i] == "") != (line == "") {
			t.Errorf("%s: line %s, want %s", what, line, want[i])
		}
	}
}

func TestWorkersOutageIsTheirStoresLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, down := newRounds(), errors.New("refused")
		wantLines(t, "at first", r.plays(10, round{}))
		wantLines(t, "all see it", r.plays(100, round{queue: down, database: down, limits: down, redis: down}),
			`"missing":"database","reason":"postgres: not usable"`, `"missing":"redis"`)
		wantLines(t, "the workers are later", r.plays(patience-1, round{queue: down, limits: down}), `"found":"database"`, `"found":"redis"`)
		wantLines(t, "afterwards", r.plays(10, round{}))
		wantLines(t, "the workers are earlier", r.plays(patience-1, round{queue: down}))
		wantLines(t, "than the database", r.plays(10, round{queue: down, database: down}), `"missing":"database"`)
	})
}

func TestWorkersOwnFaultIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRounds()
		wantLines(t, "at first", r.plays(10, round{}))
		wantLines(t, "only the queue", r.plays(100, round{queue: errors.New("no table")}), `"missing":"webhook queue"`)
		wantLines(t, "the end", r.plays(10, round{}), `"found":"webhook queue"`)
	})
}

func TestLinesOfAFlappingStoreAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRounds()
		wantLines(t, "at first", r.plays(10, round{}))
		lines, began := 0, time.Now()
		for range 300 {
			for _, line := range append(r.plays(1, round{database: errors.New("refused")}), r.plays(1, round{})...) {
				if line != "" {
					lines++
				}
			}
		}
		if most := 2 * int(time.Since(began)/outageEvery); lines < 2 || lines > most {
			t.Errorf("%d lines, want 2 to %d", lines, most)
		}
	})
}

func TestReasonThatStaysIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRounds()
		wantLines(t, "at first", r.plays(10, round{}))
		wantLines(t, "refused", r.plays(1, round{database: errors.New("refused")}), "not usable")
		for range 20 {
			wantLines(t, "passing reasons", r.plays(steady-1, round{database: context.DeadlineExceeded}))
			wantLines(t, "passing reasons", r.plays(1, round{database: errors.New("refused")}))
		}
		wantLines(t, "another reason", r.plays(100, round{database: context.DeadlineExceeded}), "postgres: timed out")
		wantLines(t, "the first reason", r.plays(100, round{database: errors.New("refused")}))
	})
}

func TestLateStoreIsLoggedWithItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRounds()
		wantLines(t, "in time", r.plays(10, round{took: lateAfter - 1}))
		wantLines(t, "late twice", r.plays(steady-1, round{took: lateAfter}))
		wantLines(t, "in time once", r.plays(1, round{}))
		wantLines(t, "late", r.plays(100, round{took: lateAfter}), `"dependency":"database","took_ms":100,"message":"a dependency answers late"`)
		wantLines(t, "in time twice", r.plays(steady-1, round{}))
		wantLines(t, "in time again", r.plays(100, round{}), "in time again")
	})
}

func TestBreakingConnectionsAreLoggedWithTheirEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRounds()
		wantLines(t, "a few", r.plays(100, round{lost: lossesEach - 1}))
		wantLines(t, "twice", r.plays(steady-1, round{lost: lossesEach}))
		wantLines(t, "none", r.plays(1, round{}))
		wantLines(t, "a check fails, too", r.plays(1, round{lost: lossesEach, database: io.EOF}))
		wantLines(t, "again and again", r.plays(steady, round{lost: lossesEach}), `"connections_lost":3,"message":"connections to a dependency break"`)
		for range 20 {
			wantLines(t, "for long", r.plays(steady, round{lost: lossesEach}))
			wantLines(t, "and a check fails", r.plays(1, round{lost: lossesEach, database: io.EOF}))
		}
		wantLines(t, "they hold", r.plays(100, round{}), "no longer break")
	})
}

func TestResetOfAllConnectionsIsAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRounds()
		wantLines(t, "at first", r.plays(10, round{}))
		wantLines(t, "resets", r.plays(100, round{lost: 50, database: io.EOF}), `"missing":"database","reason":"postgres: connection closed"`)
		wantLines(t, "the end", r.plays(1, round{lost: 50}), `"found":"database"`)
		wantLines(t, "afterwards", r.plays(100, round{}))
	})
}
