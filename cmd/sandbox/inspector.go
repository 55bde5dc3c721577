package main

import (
	"bytes"
	"encoding/json"
	"io"
	"sync"
	"time"

	"dropgate/internal/clienttoken"
)

// Bounds of the inspector's memory.
const (
	maxWaiting  = 256     // audit entries that wait for their access line
	maxAnswered = 256     // requests that have been answered
	maxLogLine  = 1 << 20 // bytes of a line without an end
)

// joinWithin is how long an audit entry waits for the access line of its request.
const joinWithin = time.Second

// sandboxOperator is the operator as whom the demo page reads the directory. The
// inspector leaves its reads out.
const sandboxOperator = "sandbox"

// inspector reads the log of the service. It publishes each audit entry, with the
// status and the duration of its request, and each refusal without an entry. It
// writes the log to a console. Audit entries hold no secrets, and neither does the
// log.
type inspector struct {
	console io.Writer                             // takes one line of JSON
	policy  func(user string) clienttoken.Allowed // of the user, now
	hub     *hub

	rest []byte // a line without an end; only Write uses it

	mu       sync.Mutex
	waiting  map[string][]logLine // by request id
	order    []string             // keys of waiting, the oldest first
	answered map[string]logLine   // access lines by request id
	recent   []string             // keys of answered, the oldest first
}

// logLine is one line of the log.
type logLine map[string]any

func (l logLine) text(member string) string {
	text, _ := l[member].(string)
	return text
}

func newInspector(console io.Writer, policy func(string) clienttoken.Allowed) *inspector {
	return &inspector{
		console: console, policy: policy, hub: newHub(),
		waiting: map[string][]logLine{}, answered: map[string]logLine{},
	}
}

// Write implements io.Writer. The service calls it from one goroutine, with one
// line, several, or part of one. Pages see only lines that the console has accepted.
func (i *inspector) Write(p []byte) (int, error) {
	i.rest = append(i.rest, p...)
	for {
		line, rest, whole := bytes.Cut(i.rest, []byte("\n"))
		if !whole {
			break
		}
		if _, err := i.console.Write(append(bytes.Clone(line), '\n')); err != nil {
			i.rest = nil // the service repeats what is not counted here
			return max(0, len(p)-len(rest)-len(line)-1), err
		}
		i.read(line)
		i.rest = append(i.rest[:0], rest...)
	}
	if len(i.rest) > maxLogLine {
		i.rest = nil
	}
	return len(p), nil
}

func (i *inspector) read(text []byte) {
	var line logLine
	if json.Unmarshal(text, &line) != nil {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	switch line.text("log") {
	case "audit":
		i.readEntry(line)
	case "access":
		i.readAccess(line)
	}
}

// readEntry publishes an entry whose request is over, or keeps it until the access
// line comes. The caller holds the lock.
func (i *inspector) readEntry(entry logLine) {
	if entry.text("operator") == sandboxOperator || entry.text("event") == "trail" {
		return
	}
	if entry.text("event") == "client_token" {
		entry["rule"] = i.policy(entry.text("user")).Rule
	}
	id := entry.text("request_id")
	access, answered := i.answered[id]
	switch mode := entry.text("mode"); {
	case answered:
		i.publish(entry, access)
	case id == "" || mode == "command" || mode == "webhook":
		i.publish(entry, nil)
	default:
		i.wait(id, entry)
	}
}

// wait keeps an entry for a while. The caller holds the lock.
func (i *inspector) wait(id string, entry logLine) {
	if len(i.order) >= maxWaiting {
		i.release(i.order[0], nil)
	}
	if _, known := i.waiting[id]; !known {
		i.order = append(i.order, id)
	}
	i.waiting[id] = append(i.waiting[id], entry)
	time.AfterFunc(joinWithin, func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.release(id, nil)
	})
}

// release publishes the waiting entries of a request. The caller holds the lock.
func (i *inspector) release(id string, access logLine) {
	entries := i.waiting[id]
	delete(i.waiting, id)
	for at, other := range i.order {
		if other == id {
			i.order = append(i.order[:at], i.order[at+1:]...)
			break
		}
	}
	for _, entry := range entries {
		i.publish(entry, access)
	}
}

// readAccess handles the end of a request. The caller holds the lock.
func (i *inspector) readAccess(access logLine) {
	id := access.text("request_id")
	if _, audited := i.waiting[id]; audited {
		i.release(id, access)
	} else if refusedUnseen(access) {
		i.publish(access, nil)
	}
	if len(i.recent) >= maxAnswered {
		delete(i.answered, i.recent[0])
		i.recent = i.recent[1:]
	}
	i.answered[id] = access
	i.recent = append(i.recent, id)
}

// refusedUnseen reports whether a request was refused and has no audit entry: the
// service did not know the user, or the request came from another site. Reading the
// session while signed out does not count.
func refusedUnseen(access logLine) bool {
	asks := access.text("method") == "GET" && access.text("code") == string(clienttoken.Unauthenticated)
	return access.text("code") != "" && !asks && access.text("mode") != "admin"
}

// publish sends a line to the pages, with what the access line of its request adds.
func (i *inspector) publish(line, access logLine) {
	for _, member := range []string{"status", "duration_ms", "method", "route", "code"} {
		if value, has := access[member]; has {
			line[member] = value
		}
	}
	data, err := json.Marshal(line)
	if err != nil {
		return // never: it came from JSON
	}
	i.hub.publish(line.text("log"), data)
}
