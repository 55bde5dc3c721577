package app_test

import (
	"net/http"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// moment returns the value of a metric of Unix time. A metric without an event is the
// zero time.
func (s *service) moment(t *testing.T, name string) time.Time {
	t.Helper()
	found := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindStringSubmatch(s.admin(t, "/metrics").body)
	if found == nil {
		t.Fatalf("no %s", name)
	}
	seconds, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	if seconds == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(seconds * 1e6))
}

// rounding is that of a float64 with microseconds.
const rounding = time.Millisecond

// happened checks that the time of a metric is between a moment and now.
func (s *service) happened(t *testing.T, name string, after time.Time) {
	t.Helper()
	if got := s.moment(t, name); got.Before(after) || got.After(time.Now().Add(rounding)) {
		t.Errorf("%s is %v, want a time between %v and now", name, got, after)
	}
}

// TestTimestampsSayWhenItHappened covers the last key fetch, webhook, measurement of the
// queue and audit entry. Each moves on with the next event.
func TestTimestampsSayWhenItHappened(t *testing.T) {
	began := time.Now().Add(-rounding)
	s := newFixture(t).start(t, map[string]string{
		"CUSTOMER_SOURCE": "claim", "DATABASE_URL": directories()["SQLite"](t), "DWOLLA_WEBHOOK_SECRET": webhookSecret,
	})
	const webhook, entry = "dropgate_webhook_last_received_timestamp_seconds", "dropgate_audit_last_write_timestamp_seconds"
	for _, name := range []string{webhook, entry} {
		if got := s.moment(t, name); !got.IsZero() {
			t.Errorf("%s is %v before the first one", name, got)
		}
	}
	for name, event := range map[string]func(){
		entry: func() {
			if got := s.vend(t, "alice", readCustomer); got.status != http.StatusOK {
				t.Fatalf("%d %s", got.status, got.body)
			}
		},
		webhook: func() { s.tell(t, "e"+strconv.FormatInt(time.Now().UnixNano(), 36), "customer_verified", time.Now()) },
	} {
		for range 2 {
			before := time.Now().Add(-rounding)
			event()
			s.happened(t, name, before)
		}
	}
	for _, name := range []string{"dropgate_jwks_last_success_timestamp_seconds", "dropgate_webhook_queue_measured_timestamp_seconds"} {
		until(t, name, func() bool { return !s.moment(t, name).IsZero() })
		s.happened(t, name, began)
	}
	measured := s.moment(t, "dropgate_webhook_queue_measured_timestamp_seconds")
	until(t, "the next measurement", func() bool {
		return s.moment(t, "dropgate_webhook_queue_measured_timestamp_seconds").After(measured)
	})
}
