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

// Fault is an injected fault of an operation. It applies before the request is
// checked, so a faulty request changes nothing. Of CutBefore, Redirect, HugeBody
// and CutMidBody the first one set applies. Without any of these and without
// Status, Code and Body, the usual answer is delayed and gets the headers.
type Fault struct {
	// Times is the number of affected requests. Zero: all until
	// [Emulator.ClearFaults].
	Times int
	// Latency is the delay before the fault. It ends early if the client leaves.
	Latency time.Duration
	// Status is the HTTP status, with Dwolla's error body from 400 on and an empty
	// body below. Zero means 500 with a Code, 302 with a Redirect, and 200 with a
	// body of any kind. Outside of 200 to 999: 500.
	Status int
	// Code is Dwolla's code in the error body. "": the usual one for the status.
	Code string
	// Header is added to the answer, e.g. Retry-After or another Content-Type.
	Header http.Header
	// Body replaces the error body.
	Body string
	// CutBefore closes the connection before the answer. It needs HTTP/1, as of a
	// plain httptest.Server. Otherwise the answer is 500.
	CutBefore bool
	// CutMidBody closes the connection in the middle of the body.
	CutMidBody bool
	// HugeBody is the size of a streamed JSON object, in bytes. The answer has no
	// Content-Length.
	HugeBody int64
	// Redirect is the Location of a 302 (or another redirecting Status).
	Redirect string
}

// InjectFault sets the fault of op, and replaces an earlier one.
func (e *Emulator) InjectFault(op Operation, f Fault) {
	f.Header = f.Header.Clone()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults[op] = f
}

// ClearFaults ends all faults, except for requests in their latency and for
// webhooks already created.
func (e *Emulator) ClearFaults() {
	e.mu.Lock()
	defer e.mu.Unlock()
	clear(e.faults)
	e.webhooks.misbehave(WebhookFault{})
}

// count counts a request for op and returns its fault, or the zero Fault.
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

// spoil applies the fault, and reports whether it has answered the request.
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
		// net/http closes a connection after a body shorter than announced.
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

// refuse answers with the status and the error body of op.
func (f Fault) refuse(w http.ResponseWriter, op Operation) {
	status := f.status(http.StatusInternalServerError)
	if status < http.StatusBadRequest {
		w.WriteHeader(status)
		return
	}
	a := refuseAs(status, orElse(f.Code, codeOf(status)), "The emulator answers with an injected fault.")
	switch {
	case op != OpToken:
	case status == http.StatusUnauthorized:
		a = refuseOAuth(status, orElse(f.Code, "invalid_client"))
	case status == http.StatusBadRequest:
		a = refuseOAuth(status, orElse(f.Code, "invalid_request"))
	}
	a.media = w.Header().Get("Content-Type") // the fault may have set it
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

// wait waits for d, and reports false if the client leaves.
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

// cut closes the connection at once, with a reset for TCP.
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
		_ = tcp.SetLinger(0) // without a reset it is still a cut
	}
	_ = raw.Close() // broken on purpose
}

// stream writes {"token":"aaa..."} of size bytes, until the client leaves. A small
// size cuts the object.
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
