package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"dropgate/internal/audit"
)

// sink accepts lines, or fails.
type sink struct {
	bytes.Buffer

	err error
}

func (s *sink) Append(_ context.Context, line []byte) error {
	if s.err == nil {
		s.Write(line)
	}
	return s.err
}

func (s *sink) Fault() error { return s.err }

// read parses the only line in out.
func read(t *testing.T, out string) map[string]string {
	t.Helper()
	if strings.Count(out, "\n") != 1 {
		t.Fatalf("not one line: %q", out)
	}
	var got map[string]string
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v: %q", err, out)
	}
	if at, err := time.Parse("2006-01-02T15:04:05.000Z", got["time"]); err != nil || time.Since(at).Abs() > time.Minute {
		t.Errorf("time %q: %v", got["time"], err)
	}
	delete(got, "time")
	return got
}

// written returns the line of an entry.
func written(t *testing.T, e *audit.Entry) map[string]string {
	t.Helper()
	var out sink
	if err := audit.NewTrail(&out, prometheus.NewRegistry()).Write(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	return read(t, out.String())
}

func TestEveryMemberOfAnEntryIsWritten(t *testing.T) {
	got := written(t, &audit.Entry{
		Event: audit.ClientToken, ID: "i", RequestID: "r", ProxyRequestID: "p", ClientIP: "192.0.2.1", UserAgent: "ua", Mode: "bearer", Operator: "o",
		User: "alice", Customer: "c", Action: "customer.read", Outcome: "vended", Reason: "why", DwollaRequestID: "d", TokenFingerprint: "0123456789abcdef",
		ChangedAt: time.Date(2026, 1, 2, 4, 4, 5, 6e6, time.FixedZone("", 3600)), TraceID: "t",
	})
	want := map[string]string{
		"log": "audit", "event": "client_token", "id": "i", "request_id": "r", "proxy_request_id": "p", "client_ip": "192.0.2.1", "user_agent": "ua",
		"mode": "bearer", "operator": "o", "user": "alice", "customer": "c", "action": "customer.read",
		"outcome": "vended", "reason": "why", "dwolla_request_id": "d", "token_sha256_prefix": "0123456789abcdef", "changed_at": "2026-01-02T03:04:05.006Z",
		"trace_id": "t",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("line (-want +got):\n%s", diff)
	}
}

func TestATimeIsRFC3339WithMilliseconds(t *testing.T) {
	const layout = "2006-01-02T15:04:05.000Z"
	start := time.Date(2026, 2, 28, 23, 59, 59, 0, time.FixedZone("", -3600))
	for _, after := range []time.Duration{0, 1, 999_999, 1e6, 9_999_999, 10e6, 123_456_789, 999_999_999} {
		at := start.Add(after)
		if got, want := string(audit.AppendTime([]byte("x"), at)), "x"+at.UTC().Format(layout); got != want {
			t.Errorf("%v: %s, want %s", at, got, want)
		}
	}
}

// TestAnEmptyMemberIsWrittenToo, except trace_id.
func TestAnEmptyMemberIsWrittenToo(t *testing.T) {
	got := written(t, &audit.Entry{})
	if members := reflect.TypeFor[audit.Entry]().NumField(); len(got) != members {
		t.Errorf("%d members, want %d: %v", len(got), members, got)
	}
}

func TestAnEntryCannotForgeALine(t *testing.T) {
	const hostile = "a\n{\"log\":\"audit\",\"outcome\":\"vended\"}\r\n\x1b[31m\u2028\xff\""
	got := written(t, &audit.Entry{User: hostile, Reason: hostile, Action: hostile, UserAgent: hostile, Outcome: "ActionNotAllowed"})
	if got["outcome"] != "ActionNotAllowed" || got["log"] != "audit" {
		t.Errorf("the line is %v", got)
	}
}

func TestAUserAgentIsShortenedAndEscaped(t *testing.T) {
	for given, want := range map[string]string{
		"Mozilla/5.0 (X11; Linux x86_64)": "Mozilla/5.0 (X11; Linux x86_64)",
		"é 漢":                             "é 漢",
		"a\x1b[31mb\u009bc\u2028d\u202ee": `a\x1b[31mb\u009bc\u2028d\u202ee`,
		"a\xffb":                          `a\ufffdb`,
		strings.Repeat("é", 200):          strings.Repeat("é", 128),
		strings.Repeat("\x01", 200):       strings.Repeat(`\x01`, 64),
	} {
		if got := written(t, &audit.Entry{UserAgent: given})["user_agent"]; got != want {
			t.Errorf("%q is written as %q, want %q", given, got, want)
		}
	}
}

func TestTheZeroTrailWritesNothing(t *testing.T) {
	var trail audit.Trail
	if err := errors.Join(trail.Write(t.Context(), &audit.Entry{User: "alice"}), trail.Fault()); err != nil {
		t.Error(err)
	}
}

func TestARefusedEntryIsAnErrorAndCounted(t *testing.T) {
	registry := prometheus.NewRegistry()
	out := &sink{}
	trail := audit.NewTrail(out, registry)
	count := func(want string) {
		t.Helper()
		text := "# HELP dropgate_audit_failures_total Audit entries the sink did not accept in time. Their effects did not leave the service.\n" +
			"# TYPE dropgate_audit_failures_total counter\ndropgate_audit_failures_total " + want + "\n"
		if err := testutil.GatherAndCompare(registry, strings.NewReader(text), "dropgate_audit_failures_total"); err != nil {
			t.Error(err)
		}
	}
	count("0")
	out.err = errors.New("no space left")
	if err := trail.Write(t.Context(), &audit.Entry{}); !errors.Is(err, out.err) {
		t.Errorf("error %v", err)
	}
	count("1")
	if err := trail.Fault(); !errors.Is(err, out.err) {
		t.Errorf("fault %v", err)
	}
	out.err = nil
	if err := trail.Write(t.Context(), &audit.Entry{}); err != nil {
		t.Error(err)
	}
	count("1")
}

// late implements audit.Late.
type late struct {
	error

	followed []byte
}

func (l *late) Follow(line []byte) { l.followed = line }

func TestAWithdrawalFollowsALateLine(t *testing.T) {
	err := &late{error: errors.New("stuck")}
	trail := audit.NewTrail(&sink{err: err}, prometheus.NewRegistry())
	if got := trail.Write(t.Context(), &audit.Entry{Event: audit.ClientToken, RequestID: "r", User: "alice", Outcome: "vended", TokenFingerprint: "f"}); !errors.Is(got, err) {
		t.Fatalf("error %v", got)
	}
	got := read(t, string(err.followed))
	for member, want := range map[string]string{"event": "client_token", "request_id": "r", "user": "alice", "outcome": "withdrawn", "token_sha256_prefix": ""} {
		if got[member] != want {
			t.Errorf("%s is %q, want %q", member, got[member], want)
		}
	}
}
