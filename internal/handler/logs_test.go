package handler_test

import (
	"io"
	"net/http"
	"strconv"
	"sync"
	"testing"

	"github.com/rs/zerolog"
)

func TestAuditIsWrittenAtEveryLogLevel(t *testing.T) {
	for level, accessLines := range map[zerolog.Level]int{zerolog.DebugLevel: 2, zerolog.InfoLevel: 2, zerolog.WarnLevel: 1, zerolog.ErrorLevel: 0} {
		t.Run(level.String(), func(t *testing.T) {
			w := newWorld(t, func(s *setup) { s.logLevel = level })
			for _, action := range []string{"customer.read", "customer.transfers.send"} {
				resp, err := w.client.Do(w.request(alice, http.MethodPost, "/client-tokens", body(`{"action":"`+action+`"}`)))
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
			audit, access := w.logs.since(0, "audit"), w.logs.since(0, "access")
			if len(audit) != 2 || audit[0].text("outcome") != "vended" || audit[1].text("outcome") != "ActionNotAllowed" {
				t.Errorf("the audit lines are %v", audit)
			}
			if len(access) != accessLines { // a refusal is a warning
				t.Errorf("%d access lines, want %d", len(access), accessLines)
			}
		})
	}
}

// TestConcurrentRequestsLeaveOneLineEach is also where the race detector looks.
func TestConcurrentRequestsLeaveOneLineEach(t *testing.T) {
	w := newWorld(t)
	users := []string{alice, bob, carol, nobody}
	customers := map[string]string{alice: alicesID, bob: bobsID}
	const each = 25
	var all sync.WaitGroup
	for i := range each * len(users) {
		r := w.request(users[i%len(users)], http.MethodPost, "/client-tokens", body(`{"action":"customer.read"}`),
			header("User-Agent", strconv.Itoa(i)))
		all.Go(func() {
			resp, err := w.client.Do(r)
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		})
	}
	all.Wait()
	seen, outcomes := map[string]bool{}, map[string]int{}
	for _, l := range w.logs.since(0, "audit") {
		seen[l.text("request_id")] = true
		outcomes[l.text("user")+" "+l.text("outcome")]++
		l.has(t, line{"customer": customers[l.text("user")]})
	}
	if len(seen) != each*(len(users)-1) || len(w.logs.since(0, "access")) != each*len(users) {
		t.Errorf("%d ids in the audit, %d access lines", len(seen), len(w.logs.since(0, "access")))
	}
	for _, want := range []string{"alice vended", "bob vended", "carol CustomerNotLinked"} {
		if outcomes[want] != each {
			t.Errorf("%d of %q, want %d", outcomes[want], want, each)
		}
	}
	if vended := len(w.dwolla.ClientTokens()); vended != 2*each {
		t.Errorf("Dwolla vended %d tokens, want %d", vended, 2*each)
	}
}
