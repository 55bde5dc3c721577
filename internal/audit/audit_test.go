package audit_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"dropgate/internal/audit"
)

// written is the line that an entry leaves at a log level.
func written(t *testing.T, level zerolog.Level, e *audit.Entry) map[string]string {
	t.Helper()
	var out bytes.Buffer
	if err := audit.NewTrail(zerolog.New(&out).Level(level)).Write(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if bytes.Count(out.Bytes(), []byte("\n")) != 1 {
		t.Fatalf("not one line: %q", out.String())
	}
	var got map[string]string
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v: %q", err, out.String())
	}
	return got
}

func TestEveryMemberOfAnEntryIsWritten(t *testing.T) {
	got := written(t, zerolog.InfoLevel, &audit.Entry{
		Event: audit.ClientToken, ID: "i", RequestID: "r", ProxyRequestID: "p", ClientIP: "192.0.2.1", UserAgent: "ua", Mode: "bearer", Operator: "o", User: "alice", Customer: "c", Action: "customer.read", Outcome: "vended",
		Reason: "why", DwollaRequestID: "d", TokenFingerprint: "0123456789abcdef",
	})
	want := map[string]string{
		"log": "audit", "event": "client_token", "id": "i", "request_id": "r", "proxy_request_id": "p", "client_ip": "192.0.2.1", "user_agent": "ua",
		"mode": "bearer", "operator": "o", "user": "alice", "customer": "c", "action": "customer.read",
		"outcome": "vended", "reason": "why", "dwolla_request_id": "d", "token_sha256_prefix": "0123456789abcdef",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("line (-want +got):\n%s", diff)
	}
}

func TestAnEmptyMemberIsWrittenToo(t *testing.T) {
	got := written(t, zerolog.InfoLevel, &audit.Entry{})
	if members := reflect.TypeFor[audit.Entry]().NumField() + 1; len(got) != members {
		t.Errorf("%d members, want %d: %v", len(got), members, got)
	}
}

func TestEntriesAreWrittenWhateverTheLogLevelIs(t *testing.T) {
	for _, level := range []zerolog.Level{
		zerolog.TraceLevel, zerolog.DebugLevel, zerolog.InfoLevel, zerolog.WarnLevel, zerolog.ErrorLevel, zerolog.FatalLevel, zerolog.PanicLevel,
	} {
		got := written(t, level, &audit.Entry{Outcome: "vended"})
		if got["outcome"] != "vended" || got["level"] != "" {
			t.Errorf("at level %s: %v", level, got)
		}
	}
}

func TestAnEntryCannotForgeALine(t *testing.T) {
	const hostile = "a\n{\"log\":\"audit\",\"outcome\":\"vended\"}\r\n\x1b[31m\u2028\xff\""
	got := written(t, zerolog.InfoLevel, &audit.Entry{User: hostile, Reason: hostile, Action: hostile, Outcome: "ActionNotAllowed"})
	if got["outcome"] != "ActionNotAllowed" || got["log"] != "audit" {
		t.Errorf("the line is %v", got)
	}
}

func TestTheZeroTrailWritesNothing(t *testing.T) {
	var trail audit.Trail
	if err := trail.Write(t.Context(), &audit.Entry{User: "alice"}); err != nil {
		t.Error(err)
	}
}
