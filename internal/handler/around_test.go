package handler_test

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// heard returns how many calls Dwolla has had, and the bodies of those for client
// tokens, and forgets them.
func (w *world) heard() (calls int, bodies []string) {
	requests := w.dwolla.TakeRequests()
	for _, r := range requests {
		if r.Path == "/client-tokens" {
			bodies = append(bodies, r.Body)
		}
	}
	return len(requests), bodies
}

// secrets are all that may never be seen in a log or a metric.
type secrets struct {
	mu     sync.Mutex
	values map[string]bool
}

func (s *secrets) add(value string) {
	if len(value) < 16 {
		return // would be found everywhere
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[value] = true
}

// spellings lists each secret in every form in which it could leave.
func (s *secrets) spellings() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, v := range slices.Collect(maps.Keys(s.values)) {
		quoted, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		all = append(all, v, strings.Trim(string(quoted), `"`), url.QueryEscape(v), url.PathEscape(v),
			base64.RawStdEncoding.EncodeToString([]byte(v)), base64.RawURLEncoding.EncodeToString([]byte(v)))
		if parts := strings.Split(v, "."); len(parts) == 3 && len(parts[2]) > 16 {
			all = append(all, parts[2]) // the signature of a JSON Web Token
		}
	}
	return all
}

// noSecretIn fails tb if where says one of the world's secrets.
func (w *world) noSecretIn(tb testing.TB, where, text string) {
	tb.Helper()
	for _, s := range w.dwolla.Secrets() {
		w.tokens.add(s)
	}
	for _, s := range w.tokens.spellings() {
		if at := strings.Index(text, s); at >= 0 {
			tb.Errorf("%s hold a secret: ...%.200q", where, text[max(0, at-60):])
		}
	}
}

// line is one line of the log.
type line map[string]any

func (l line) text(member string) string {
	s, _ := l[member].(string)
	return s
}

// logs keeps what is written to it, line by line.
type logs struct {
	mu    sync.Mutex
	lines []string
	more  chan struct{} // closed at the next line
}

func newLogs() *logs { return &logs{more: make(chan struct{})} }

// Write takes one line, as zerolog writes them.
func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(p))
	close(l.more)
	l.more = make(chan struct{})
	return len(p), nil
}

// mark is the place behind the last line.
func (l *logs) mark() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.lines)
}

func (l *logs) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "")
}

// forget makes room, where millions of lines are written.
func (l *logs) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = nil
}

// since returns the lines behind mark whose member "log" is kind; "" are those
// without it.
func (l *logs) since(mark int, kind string) []line {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []line
	for _, raw := range l.lines[min(mark, len(l.lines)):] {
		var parsed line
		if err := json.Unmarshal([]byte(raw), &parsed); err != nil {
			parsed = line{"log": kind, "broken": raw}
		}
		if parsed.text("log") == kind {
			found = append(found, parsed)
		}
	}
	return found
}

// await returns the first line of that kind behind mark, which may be yet to
// come.
func (l *logs) await(tb rapid.TB, mark int, kind string) line {
	tb.Helper()
	late := time.After(20 * time.Second)
	for {
		l.mu.Lock()
		more := l.more
		l.mu.Unlock()
		if found := l.since(mark, kind); len(found) > 0 {
			return found[0]
		}
		select {
		case <-more:
		case <-late:
			tb.Fatalf("no %s line came", kind)
		}
	}
}
