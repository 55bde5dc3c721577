//go:build faults

package faults_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"dropgate/internal/tcpproxy"
)

// serveApplication is an application with two endpoints: it maps a cookie to a user, and a
// user to a Customer.
func (w *world) serveApplication(rw http.ResponseWriter, r *http.Request) {
	name, asked := strings.CutPrefix(r.URL.Path, "/users/")
	if cookie, err := r.Cookie("app"); err == nil && !asked {
		name = cookie.Value
	}
	for _, u := range w.users {
		if u.name == name {
			rw.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprintf(rw, `{"sub":%q,"customer":%q}`, u.name, u.customer)
			return
		}
	}
	rw.Header().Set("Content-Type", "application/json")
	rw.WriteHeader(http.StatusNotFound)
}

// TestApplicationOutageIsUnavailable uses the application for sign-ins (forward) and
// for Customers (lookup). An outage must not look like "not signed in" or "no
// Customer".
func TestApplicationOutageIsUnavailable(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(*tcpproxy.Proxy){
		"the application stops and returns":                                  (*tcpproxy.Proxy).Stop,
		"the application is half-open":                                       func(p *tcpproxy.Proxy) { p.Fail(tcpproxy.Fault{Hang: true}) },
		"the application's connections are reset in the middle of an answer": func(p *tcpproxy.Proxy) { p.Fail(tcpproxy.Fault{Truncate: 5}) },
		"the application's address answers in another protocol":              func(p *tcpproxy.Proxy) { p.Fail(tcpproxy.Fault{Replace: "* OK IMAP4 ready\r\n"}) },
		"the application's address answers with another site's HTML":         func(p *tcpproxy.Proxy) { p.Fail(tcpproxy.Fault{Replace: otherPage}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			p := w.serve(t, http.HandlerFunc(w.serveApplication))
			at := "http://" + p.Addr
			server := w.start(t, map[string]string{
				"AUTH_MODES": "forward", "AUTH_FORWARD_URL": at + "/me", "AUTH_FORWARD_CACHE": "0s",
				"CUSTOMER_SOURCE": "lookup", "CUSTOMER_LOOKUP_URL": at + "/users/{user}", "CUSTOMER_CACHE": "0s",
			})
			callers := w.bearers(server, 12)
			for _, c := range callers {
				c.header = http.Header{"Cookie": {"app=" + c.user.name}, "Sec-Fetch-Site": {"same-origin"}}
			}
			scenario{
				fault: name, world: w, callers: callers,
				begin:  func() { begin(p) },
				during: map[string]time.Duration{"the application is half-open": 7 * time.Second}[name],
				end:    func() { healStore(p) },
				// Two calls to the application, 5 s each.
				allowed: []string{unavailable}, seen: []string{unavailable}, refused: []string{unavailable}, longest: 12 * time.Second,
			}.run(t)
		})
	}
}

const otherPage = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 26\r\n\r\n<html>Under maintenance.\r\n"
