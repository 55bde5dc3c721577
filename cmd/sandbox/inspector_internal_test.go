package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dropgate/internal/clienttoken"
)

// inspection is an inspector and what a page gets from it.
type inspection struct {
	*inspector

	t      *testing.T
	events chan event
}

func inspected(t *testing.T) inspection {
	t.Helper()
	i := newInspector(&bytes.Buffer{}, func(string) clienttoken.Allowed { return clienttoken.NewAllowed("a rule") })
	return inspection{inspector: i, t: t, events: i.hub.subscribe(0)}
}

// log writes a line of the log.
func (i inspection) log(format string, args ...any) {
	i.t.Helper()
	if _, err := fmt.Fprintf(i, format+"\n", args...); err != nil {
		i.t.Fatal(err)
	}
}

const (
	anEntry  = `{"log":"audit","event":"client_token","request_id":"%s","mode":"oidc","user":"alice","outcome":"vended"}`
	anAccess = `{"log":"access","request_id":"%s","status":200,"duration_ms":1.5,"method":"POST","route":"/client-tokens","code":""}`
)

// next returns the next event. Without one, it fails the test.
func next(t *testing.T, events chan event) string {
	t.Helper()
	select {
	case e := <-events:
		return e.kind + " " + string(e.data)
	default:
		t.Fatal("there is no event")
		return ""
	}
}

func TestEntryCarriesItsRequestsOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := inspected(t)
		i.log(anEntry, "one")
		if len(i.events) != 0 {
			t.Error("the entry did not wait for its access line")
		}
		i.log(anAccess, "one")
		got := next(t, i.events)
		for _, want := range []string{"audit {", `"status":200`, `"duration_ms":1.5`, `"rule":"a rule"`} {
			if !strings.Contains(got, want) {
				t.Errorf("%s lacks %s", got, want)
			}
		}
		i.log(anEntry, "one") // such as a changed link, written later
		if got := next(t, i.events); !strings.Contains(got, `"status":200`) {
			t.Errorf("the late entry is %s", got)
		}
	})
}

func TestEntryWaitsAtMostASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := inspected(t)
		i.log(anEntry, "one")
		<-time.After(joinWithin + 1)
		synctest.Wait()
		if got := next(t, i.events); strings.Contains(got, "status") {
			t.Errorf("the entry is %s", got)
		}
		i.log(anAccess, "one")
		if len(i.events) != 0 {
			t.Error("the entry came twice")
		}
	})
}

func TestWaitingEntriesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := inspected(t)
		for n := range maxWaiting + 1 {
			i.log(anEntry, fmt.Sprint("request ", n))
		}
		if got := next(t, i.events); !strings.Contains(got, "request 0") || len(i.waiting) != maxWaiting {
			t.Errorf("%d entries wait, and the first event is %s", len(i.waiting), got)
		}
		for n := range 2 * maxAnswered {
			i.log(anAccess, fmt.Sprint("other ", n))
		}
		if len(i.answered) != maxAnswered {
			t.Errorf("%d access lines are kept", len(i.answered))
		}
		<-time.After(joinWithin + 1)
	})
}

func TestInspectorShowsRefusalsOfStrangers(t *testing.T) {
	for line, want := range map[string]bool{
		`{"log":"access","request_id":"1","method":"POST","code":"CrossOriginRequest"}`:     true,
		`{"log":"access","request_id":"1","method":"POST","code":"Unauthenticated"}`:        true,
		`{"log":"access","request_id":"1","method":"GET","code":"Unauthenticated"}`:         false, // a page asks who is signed in
		`{"log":"access","request_id":"1","method":"GET","code":"NotFound","mode":"admin"}`: false,
		`{"log":"access","request_id":"1","method":"GET","code":""}`:                        false,
		`{"log":"audit","event":"directory","operator":"sandbox","outcome":"read"}`:         false, // the page's own
		`{"log":"audit","event":"trail","outcome":"opened"}`:                                false,
		`{"log":"audit","event":"link","mode":"webhook","request_id":"2"}`:                  true, // has no access line
		`{"level":"info","message":"listening"}`:                                            false,
		`not JSON`:                                                                          false,
	} {
		i := inspected(t)
		i.log("%s", line)
		if got := len(i.events) == 1; got != want {
			t.Errorf("%s is shown: %v, want %v", line, got, want)
		}
	}
}

func TestInspectorReadsLinesInPieces(t *testing.T) {
	var console bytes.Buffer
	i := newInspector(&console, func(string) clienttoken.Allowed { return clienttoken.Allowed{} })
	lines := fmt.Sprintf(anEntry+"\n"+anAccess+"\n", "one", "one")
	for at := range lines {
		if n, err := i.Write([]byte(lines[at : at+1])); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	if console.String() != lines {
		t.Errorf("the console got %q, want %q", &console, lines)
	}
	if got := next(t, i.hub.subscribe(0)); !strings.Contains(got, `"status":200`) {
		t.Errorf("the event is %s", got)
	}
	if _, err := i.Write(bytes.Repeat([]byte("x"), maxLogLine+1)); err != nil || len(i.rest) != 0 {
		t.Errorf("an endless line is kept: %d bytes, %v", len(i.rest), err)
	}
}

// full is an output with room for a number of lines.
type full struct{ room int }

func (f *full) Write(line []byte) (int, error) {
	if f.room == 0 {
		return 0, errors.New("no space left")
	}
	f.room--
	return len(line), nil
}

func TestBrokenConsoleFailsTheLog(t *testing.T) {
	console := &full{room: 1}
	i := newInspector(console, func(string) clienttoken.Allowed { return clienttoken.Allowed{} })
	lines := []byte(`{"log":"audit","event":"link","mode":"command","user":"one"}` + "\n" +
		`{"log":"audit","event":"link","mode":"command","user":"two"}` + "\n")
	n, err := i.Write(lines)
	if n != len(lines)/2 || err == nil {
		t.Errorf("the service learns that %d of %d bytes are written: %v", n, len(lines), err)
	}
	if i.hub.last != 1 {
		t.Errorf("the page sees %d entries, but the console accepted one", i.hub.last)
	}
	console.room = 1
	if n, err := i.Write(lines[n:]); n != len(lines)/2 || err != nil || i.hub.last != 2 {
		t.Errorf("after the repair: %d bytes, %v, %d entries", n, err, i.hub.last)
	}
}

func TestNewPageGetsTheLastHundred(t *testing.T) {
	h := newHub()
	for n := range maxRecent + 7 {
		h.publish("audit", fmt.Appendf(nil, "%d", n))
	}
	for seen, want := range map[int]int{0: maxRecent, maxRecent: 7, maxRecent + 7: 0, 1_000_000: maxRecent} {
		if got := len(h.subscribe(seen)); got != want {
			t.Errorf("after event %d a page gets %d events, want %d", seen, got, want)
		}
	}
}

func TestSlowPageLosesItsSubscription(t *testing.T) {
	h := newHub()
	slow := h.subscribe(0)
	for range cap(slow) + 1 {
		h.publish("audit", []byte("{}"))
	}
	if len(h.subscribers) != 0 {
		t.Error("the slow page is still subscribed")
	}
	h.unsubscribe(slow) // closes nothing twice
}

func TestSubscriptionsAreBounded(t *testing.T) {
	h := newHub()
	for range maxSubscribers {
		h.subscribe(0)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/demo/events", http.NoBody))
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("one page too many gets %d", w.Code)
	}
}

func TestStreamEndsWithItsPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub()
		h.publish("audit", []byte(`{"n":1}`))
		h.publish("access", []byte(`{"n":2}`))
		ctx, leave := context.WithCancel(t.Context())
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/demo/events", http.NoBody)
		r.Header.Set("Last-Event-ID", "1")
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			h.ServeHTTP(w, r)
		}()
		<-time.After(heartbeat + 1)
		synctest.Wait()
		leave()
		<-ended
		if got := w.Body.String(); got != "retry: 1000\n\nid: 2\nevent: access\ndata: {\"n\":2}\n\n:\n\n" || !w.Flushed {
			t.Errorf("the stream was %q", got)
		}
		if len(h.subscribers) != 0 {
			t.Error("the page is still subscribed")
		}
	})
}
