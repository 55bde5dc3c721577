//go:build faults

package faults_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestBodiesAreNeverReadAsRequests sends known shapes of request smuggling. Each hides
// a good request where a server might mistake a body for a request, or the reverse.
func TestBodiesAreNeverReadAsRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(t, map[string]string{"DWOLLA_TIMEOUT": "5s", "LOG_LEVEL": "info"})
	bearer := "Authorization: Bearer " + w.users[0].bearer + "\r\n"
	good := tokenRequest("x", bearer)
	answered := 0
	waitFor(t, "a first token", 10*time.Second, func() bool {
		got, err := (&rawClient{address: p.public}).do(good)
		if err == nil {
			answered++
		}
		return err == nil && got.token != ""
	})
	waitFor(t, "the access lines", 5*time.Second, func() bool { return p.accessLines() >= answered })
	const post = "POST /client-tokens HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
	length := func(body string) string { return fmt.Sprintf("Content-Length: %d\r\n", len(body)) }
	chunk := func(body string) string { return fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body) }
	const ask = `{"action":"customer.read"}`
	for name, shape := range map[string]struct {
		send   string
		want   []int // the statuses of the answers
		vended int   // good requests outside of bodies
		lines  int   // requests by RFC 9112, before the first malformed one
	}{
		"two good requests":                         {good + good, []int{200, 200}, 2, 2},
		"a good request in a refused body":          {post + length(good) + "\r\n" + good, []int{401}, 0, 1},
		"a good request in an invalid body":         {post + bearer + length(good) + "\r\n" + good, []int{400}, 0, 1},
		"a good request after a refused body":       {post + length(ask) + "\r\n" + ask + good, []int{401, 200}, 1, 2},
		"a body with GET":                           {"GET /session HTTP/1.1\r\nHost: x\r\n" + length(good) + "\r\n" + good, []int{401}, 0, 1},
		"CL.TE":                                     {post + bearer + length("0\r\n\r\n"+good) + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + good, []int{400}, 0, 1},
		"TE.CL":                                     {post + bearer + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(good), []int{400}, 0, 1},
		"chunks":                                    {post + bearer + "Transfer-Encoding: chunked\r\n\r\n" + chunk(ask), []int{200}, 1, 1},
		"a request after chunks":                    {post + bearer + "Transfer-Encoding: chunked\r\n\r\n" + chunk(ask) + good, []int{200}, 1, 1},
		"two lengths":                               {post + bearer + length(ask) + length(ask+good) + "\r\n" + ask + good, []int{400}, 0, 0},
		"two lengths in one header":                 {post + bearer + "Content-Length: 26, 27\r\n\r\n" + ask + good, []int{400}, 0, 0},
		"a negative length":                         {post + bearer + "Content-Length: -1\r\n\r\n" + good, []int{400}, 0, 0},
		"a length with a sign":                      {post + bearer + "Content-Length: +26\r\n\r\n" + ask + good, []int{400}, 0, 0},
		"an endless length":                         {post + bearer + "Content-Length: 99999999999999999999\r\n\r\n" + ask + good, []int{400}, 0, 0},
		"TE xchunked":                               {post + bearer + "Transfer-Encoding: xchunked\r\n\r\n" + chunk(good), []int{501}, 0, 0},
		"TE chunked, identity":                      {post + bearer + "Transfer-Encoding: chunked, identity\r\n\r\n" + chunk(good), []int{501}, 0, 0},
		"TE twice":                                  {post + bearer + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + chunk(good), []int{501}, 0, 0},
		"TE after a vertical tab":                   {post + bearer + "Transfer-Encoding: \vchunked\r\n\r\n" + chunk(good), []int{400}, 0, 0},
		"TE in a folded line":                       {post + bearer + "Transfer-Encoding:\r\n chunked\r\n" + length(ask) + "\r\n" + ask + good, []int{400}, 0, 1},
		"a space before the colon":                  {post + bearer + "Transfer-Encoding : chunked\r\n" + length(ask) + "\r\n" + ask + good, []int{400}, 0, 0},
		"a chunk without a size":                    {post + bearer + "Transfer-Encoding: chunked\r\n\r\n\r\n" + good, []int{400}, 0, 1},
		"a chunk with an invalid size":              {post + bearer + "Transfer-Encoding: chunked\r\n\r\nzz\r\n" + good, []int{400}, 0, 1},
		"a negative chunk":                          {post + bearer + "Transfer-Encoding: chunked\r\n\r\n-1\r\n" + good, []int{400}, 0, 1},
		"a chunk size that overflows":               {post + bearer + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n" + good, []int{400}, 0, 1},
		"a chunk without an end":                    {post + bearer + "Transfer-Encoding: chunked\r\n\r\n1a\r\n" + ask + good, []int{400}, 0, 1},
		"a chunk extension of a megabyte":           {post + bearer + "Transfer-Encoding: chunked\r\n\r\n1a;" + strings.Repeat("x", 1<<20) + "\r\n" + ask + "\r\n0\r\n\r\n" + good, []int{400}, 0, 1},
		"HTTP/1.0 with TE":                          {strings.Replace(post, "1.1", "1.0", 1) + bearer + "Transfer-Encoding: chunked\r\n\r\n" + chunk(good), nil, 0, 1},
		"another host in the target":                {strings.Replace(post, " /", " http://evil.example/", 1) + length(ask) + bearer + "\r\n" + ask, []int{200}, 1, 1},
		"no host":                                   {strings.Replace(post, "Host: x\r\n", "", 1) + bearer + length(ask) + "\r\n" + ask + good, []int{400}, 0, 0},
		"two hosts":                                 {strings.Replace(post, "Host: x", "Host: x\r\nHost: y", 1) + bearer + length(ask) + "\r\n" + ask + good, []int{400}, 0, 0},
		"a null byte in a header":                   {post + bearer + "X-A: a\x00b\r\n" + length(ask) + "\r\n" + ask + good, []int{400}, 0, 0},
		"a bare CR in a header":                     {post + bearer + "X-A: a\rTransfer-Encoding: chunked\r\n" + length(ask) + "\r\n" + ask + good, []int{400}, 0, 0},
		"large headers":                             {post + "X-A: " + strings.Repeat("x", 24<<10) + "\r\n" + length(ask) + "\r\n" + ask + good, []int{431}, 0, 0},
		"many headers":                              {post + strings.Repeat("X-A: x\r\n", 4000) + length(ask) + "\r\n" + ask + good, []int{431}, 0, 0},
		"expecting, refused before the body":        {post + length(good) + "Expect: 100-continue\r\n\r\n", []int{401}, 0, 1},
		"expecting, refused, a body of 1 TB":        {post + "Content-Length: 1099511627776\r\nExpect: 100-continue\r\n\r\n", []int{401}, 0, 1},
		"expecting, no body":                        {post + bearer + "Content-Length: 0\r\nExpect: 100-continue\r\n\r\n", []int{400}, 0, 1},
		"expecting nonsense":                        {post + bearer + length(ask) + "Expect: nonsense\r\n\r\n" + ask, []int{417}, 0, 0},
		"expecting, and not waiting":                {post + bearer + length(ask) + "Expect: 100-continue\r\n\r\n" + ask, []int{100, 200}, 1, 1},
		"expecting, refused, and not waiting":       {post + length(good) + "Expect: 100-continue\r\n\r\n" + good, []int{401}, 0, 1},
		"the HTTP/2 preface":                        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + good, []int{404}, 0, 1},
		"lines ending in LF alone":                  {strings.ReplaceAll(post+bearer+length(ask)+"\r\n", "\r\n", "\n") + ask, []int{200}, 1, 1},
		"a good request after a large refused body": {post + length(strings.Repeat(good, 1000)) + "\r\n" + strings.Repeat(good, 1000), []int{401}, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			vended, before := len(w.dwolla.ClientTokens()), p.accessLines()
			got := w.exchange(t, p.public, shape.send)
			if shape.want != nil && !slices.Equal(got, shape.want) {
				t.Errorf("got statuses %v, want %v", got, shape.want)
			}
			if n := len(w.dwolla.ClientTokens()) - vended; n != shape.vended {
				t.Errorf("Dwolla vended %d tokens, want %d; statuses %v", n, shape.vended, got)
			}
			// A hidden request would write an access line even if refused.
			waitFor(t, "the access lines", 5*time.Second, func() bool { return p.accessLines() >= before+shape.lines })
			<-time.After(50 * time.Millisecond) // time for an unexpected line
			if n := p.accessLines() - before; n != shape.lines {
				t.Errorf("the log has %d requests, want %d; statuses %v", n, shape.lines, got)
			}
		})
	}
}

// accessLines counts the requests in the log.
func (p *process) accessLines() int { return strings.Count(p.stdout.String(), `"log":"access"`) }

// exchange sends bytes and returns all answers' statuses. It ends when the server
// closes the connection or stays silent.
func (w *world) exchange(t *testing.T, address, send string) []int {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	go func() { _, _ = io.WriteString(c, send) }() // the server may close early
	var got []int
	r := bufio.NewReader(c)
	for {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return got
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		w.evidence.recordAnswer(resp, string(body))
		got = append(got, resp.StatusCode)
		if err != nil || resp.Close {
			return got
		}
		_ = c.SetReadDeadline(time.Now().Add(700 * time.Millisecond)) // a hidden request would be answered sooner
	}
}
