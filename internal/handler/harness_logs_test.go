package handler_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// line is one line of the log.
type line map[string]any

func (l line) text(member string) string {
	s, _ := l[member].(string)
	return s
}

// has fails tb unless the line has these members.
func (l line) has(tb rapid.TB, want line) {
	tb.Helper()
	got := line{}
	for member := range want {
		got[member] = l[member]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		tb.Errorf("the %s line (-want +got):\n%s", l.text("log"), diff)
	}
}

// empty stands for an empty member in [accessLine.has].
const empty = "(empty)"

// accessLine is an access line. Only this type knows its schema.
type accessLine struct {
	Log            string  `json:"log"`
	Level          string  `json:"level"`
	RequestID      string  `json:"request_id"`
	ProxyRequestID string  `json:"proxy_request_id"`
	ClientIP       string  `json:"client_ip"`
	Method         string  `json:"method"`
	Route          string  `json:"route"`
	Status         int     `json:"status"`
	Bytes          int     `json:"bytes"`
	DurationMS     float64 `json:"duration_ms"`
	Mode           string  `json:"mode"`
	User           string  `json:"user"`
	Code           string  `json:"code"`
	Reason         string  `json:"reason"`
}

// accessLineOf checks the schema: every member is there, with the right type.
func accessLineOf(tb rapid.TB, l line) accessLine {
	tb.Helper()
	text, err := json.Marshal(l)
	if err != nil {
		tb.Fatal(err)
	}
	var parsed accessLine
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&parsed); err != nil {
		tb.Fatalf("access line %s: %v", text, err)
	}
	if want := reflect.TypeFor[accessLine]().NumField(); len(l) != want || slices.Contains(slices.Collect(maps.Values(l)), nil) {
		tb.Fatalf("access line %s: want %d members, none of them null", text, want)
	}
	return parsed
}

// has fails tb unless l has every non-zero member of want.
func (l accessLine) has(tb rapid.TB, want accessLine) {
	tb.Helper()
	got, wanted := reflect.ValueOf(l), reflect.ValueOf(want)
	for i := range wanted.NumField() {
		member, value := wanted.Type().Field(i).Name, wanted.Field(i).Interface()
		if wanted.Field(i).IsZero() {
			continue
		}
		if value == empty {
			value = ""
		}
		if got.Field(i).Interface() != value {
			tb.Errorf("%s of the access line is %v, want %v", member, got.Field(i), value)
		}
	}
}

// logs keeps log lines.
type logs struct {
	mu    sync.Mutex
	lines []string
	more  chan struct{} // closed at the next line
	seen  func(text string)
}

func newLogs() *logs { return &logs{more: make(chan struct{})} }

// Write takes one line, as zerolog writes them.
func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(p))
	close(l.more)
	l.more = make(chan struct{})
	if l.seen != nil {
		l.seen(string(p))
	}
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

// since returns the lines behind mark with kind as member "log". Kind "" means
// lines without it.
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

// await returns the first line of that kind behind mark. It waits for the line.
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

// auditSink takes the audit lines, until a test breaks it.
type auditSink struct {
	to io.Writer

	mu     sync.Mutex
	broken error // of Append
	fault  error
}

// Append implements audit.Sink.
func (s *auditSink) Append(_ context.Context, line []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return s.broken
	}
	_, err := s.to.Write(line)
	return err
}

// Fault implements audit.Sink.
func (s *auditSink) Fault() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fault
}

// breaks lets the sink fail from now on: with the second error also for whoever
// asks before.
func (s *auditSink) breaks(appending, asking error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken, s.fault = appending, asking
}

func (s *auditSink) isBroken() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken != nil
}
