package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Bounds of the hub.
const (
	maxRecent      = 100 // events that a new page gets
	maxSubscribers = 32
	maxUnread      = 200 // events that a page has not read yet
)

// heartbeat is how often a quiet stream gets a comment. The write fails once the
// page is gone.
const heartbeat = 15 * time.Second

// event is one event of the stream.
type event struct {
	id   int
	kind string
	data json.RawMessage // one line
}

// hub passes events to the pages that show them. A page that reads too slowly loses
// its subscription, and comes back for what it has missed. It is safe for concurrent
// use.
type hub struct {
	mu          sync.Mutex
	last        int
	recent      []event // the oldest first
	subscribers map[chan event]struct{}
}

func newHub() *hub { return &hub{subscribers: map[chan event]struct{}{}} }

// publish sends an event to every subscriber, without waiting for any.
func (h *hub) publish(kind string, data json.RawMessage) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last++
	e := event{id: h.last, kind: kind, data: data}
	if len(h.recent) >= maxRecent {
		h.recent = h.recent[1:]
	}
	h.recent = append(h.recent, e)
	for s := range h.subscribers {
		select {
		case s <- e:
		default:
			h.drop(s)
		}
	}
}

// subscribe returns a channel with the recent events after the id seen, and those
// to come. It returns nil if there are too many subscribers.
func (h *hub) subscribe(seen int) chan event {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.subscribers) >= maxSubscribers {
		return nil
	}
	if seen > h.last {
		seen = 0 // the id is from an earlier run
	}
	s := make(chan event, maxRecent+maxUnread)
	for _, e := range h.recent {
		if e.id > seen {
			s <- e
		}
	}
	h.subscribers[s] = struct{}{}
	return s
}

func (h *hub) unsubscribe(s chan event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drop(s)
}

// drop ends a subscription, if it has not ended. The caller holds the lock.
func (h *hub) drop(s chan event) {
	if _, open := h.subscribers[s]; open {
		delete(h.subscribers, s)
		close(s)
	}
}

// ServeHTTP is the stream of events, as server-sent events.
func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	seen, _ := strconv.Atoi(r.Header.Get("Last-Event-ID")) // 0 for a new page
	events := h.subscribe(seen)
	if events == nil {
		refuse(w, http.StatusServiceUnavailable, "Unavailable", "Too many pages show the inspector.")
		return
	}
	defer h.unsubscribe(events)
	w.Header().Set("Content-Type", "text/event-stream")
	stream := http.NewResponseController(w)
	_, _ = fmt.Fprint(w, "retry: 1000\n\n")
	quiet := time.NewTicker(heartbeat)
	defer quiet.Stop()
	for {
		if stream.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-quiet.C:
			_, _ = fmt.Fprint(w, ":\n\n")
		case e, open := <-events:
			if !open {
				return
			}
			_, _ = fmt.Fprintf(w, "id: %d\nevent: %s\ndata: %s\n\n", e.id, e.kind, e.data)
		}
	}
}
