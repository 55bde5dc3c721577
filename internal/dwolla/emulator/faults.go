package emulator

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Fault is one way to misbehave. It strikes as soon as the operation is known,
// before the request is looked at, so nothing is created or used up by a
// spoiled request. Of CutBefore, Redirect, HugeBody and CutMidBody the first
// one that is set counts. A fault with none of these and no Status, Code or
// Body only delays the usual answer and adds its headers to it.
type Fault struct {
	// Times is how many requests it spoils. Zero: all until [Emulator.ClearFaults].
	Times int
	// Latency is waited first. The wait ends when the client goes away.
	Latency time.Duration
	// Status is answered, with Dwolla's error body from 400 on and an empty one
	// below. Zero: 500 with a Code; 200 with a Body or with a body that is cut
	// or huge; 302 with a Redirect. Out of 200 to 999: 500.
	Status int
	// Code is Dwolla's code in the error body. "": the likeliest for the status.
	Code string
	// Header is added to the answer, e.g. Retry-After or another Content-Type.
	Header http.Header
	// Body is sent as it is, instead of the error body.
	Body string
	// CutBefore closes the connection before a byte of the answer. It needs
	// HTTP/1, which a plain httptest.Server speaks; elsewhere it is a 500.
	CutBefore bool
	// CutMidBody announces more body than it sends, then closes.
	CutMidBody bool
	// HugeBody streams that many bytes of one JSON object, without announcing
	// how many, and in small memory.
	HugeBody int64
	// Redirect is the Location of a 302 (or another redirecting Status).
	Redirect string
}

// InjectFault gives op this fault in the place of the one that it had.
func (e *Emulator) InjectFault(op Operation, f Fault) {
	f.Header = f.Header.Clone()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults[op] = f
}

// ClearFaults ends all faults. A request that is already waiting out a latency keeps
// its fault, and so does a webhook whose event has happened.
func (e *Emulator) ClearFaults() {
	e.mu.Lock()
	defer e.mu.Unlock()
	clear(e.faults)
	e.webhooks.misbehave(WebhookFault{})
}

// count counts a request of op and returns the fault that spoils it, which is
// the zero Fault when there is none.
func (e *Emulator) count(op Operation, root string) Fault {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls[op]++
	e.root = root
	fault := e.faults[op]
	if left := fault; left.Times > 0 {
		left.Times--
		e.faults[op] = left
		if left.Times == 0 {
			delete(e.faults, op)
		}
	}
	return fault
}

// spoil makes the fault happen, and reports whether that was the answer.
func (f Fault) spoil(w http.ResponseWriter, r *http.Request, op Operation) bool {
	if !wait(r.Context(), f.Latency) {
		return true
	}
	answers := f.Status != 0 || f.Code != "" || f.Body != "" ||
		f.CutBefore || f.CutMidBody || f.HugeBody > 0 || f.Redirect != ""
	if answers {
		w.Header().Set("Content-Type", halJSON)
	}
	maps.Copy(w.Header(), canonical(f.Header))
	switch {
	case !answers:
		return false
	case f.CutBefore:
		cut(w)
	case f.Redirect != "":
		w.Header().Set("Location", f.Redirect)
		w.WriteHeader(f.status(http.StatusFound))
	case f.HugeBody > 0:
		w.WriteHeader(f.status(http.StatusOK))
		stream(w, f.HugeBody)
	case f.CutMidBody:
		body := orElse(f.Body, `{"token":"`)
		// net/http closes a connection on which less was sent than announced.
		w.Header().Set("Content-Length", strconv.Itoa(len(body)+1024))
		w.WriteHeader(f.status(http.StatusOK))
		_, _ = io.WriteString(w, body) // cut short on purpose
	case f.Body != "":
		w.WriteHeader(f.status(http.StatusOK))
		_, _ = io.WriteString(w, f.Body) // the client is gone
	default:
		f.refuse(w, op)
	}
	return true
}

// refuse answers the status with the body that op has for it.
func (f Fault) refuse(w http.ResponseWriter, op Operation) {
	status := f.status(http.StatusInternalServerError)
	if status < http.StatusBadRequest {
		w.WriteHeader(status)
		return
	}
	a := refuseAs(status, orElse(f.Code, codeOf(status)), "The emulator was told to misbehave.")
	switch {
	case op != OpToken:
	case status == http.StatusUnauthorized:
		a = refuseOAuth(status, orElse(f.Code, "invalid_client"))
	case status == http.StatusBadRequest:
		a = refuseOAuth(status, orElse(f.Code, "invalid_request"))
	}
	a.media = w.Header().Get("Content-Type") // which the fault may have chosen
	write(w, a)
}

func (f Fault) status(otherwise int) int {
	switch {
	case f.Status == 0:
		return otherwise
	case f.Status < 200 || f.Status > 999: // net/http would panic, or wait for more
		return http.StatusInternalServerError
	default:
		return f.Status
	}
}

// wait reports whether the client is still there after d.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// cut closes the connection at once, with a reset where it is TCP.
func cut(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		write(w, refuse(http.StatusInternalServerError, "The emulator can cut HTTP/1 connections only."))
		return
	}
	raw := conn
	if secure, ok := conn.(*tls.Conn); ok {
		raw = secure.NetConn()
	}
	if tcp, ok := raw.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // a close that is not a reset is still a cut
	}
	_ = raw.Close() // it is being broken on purpose
}

// stream writes {"token":"aaa..."} of size bytes, or until the client goes
// away. A size too small for the object is cut.
func stream(w io.Writer, size int64) {
	const head, tail = `{"token":"`, `"}`
	padding := size - int64(len(head)+len(tail))
	if padding < 0 {
		_, _ = io.WriteString(w, (head + tail)[:size]) // the client is gone
		return
	}
	if _, err := io.WriteString(w, head); err != nil {
		return
	}
	chunk := bytes.Repeat([]byte("a"), 32<<10)
	for ; padding > 0; padding -= int64(len(chunk)) {
		if _, err := w.Write(chunk[:min(padding, int64(len(chunk)))]); err != nil {
			return
		}
	}
	_, _ = io.WriteString(w, tail) // the client is gone
}

func canonical(h http.Header) http.Header {
	c := make(http.Header, len(h))
	for name, values := range h {
		c[http.CanonicalHeaderKey(name)] = values
	}
	return c
}
