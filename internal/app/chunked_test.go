package app_test

import (
	"net/http"
	"testing"
)

// A proxy that went by a Content-Length beside the chunks takes what follows for
// the body, and it may be anybody's.
func TestNothingIsReadBehindABodyInChunks(t *testing.T) {
	s := newWorld(t).start(t, nil)
	c := s.keep(t)
	c.send(t, "POST /client-tokens HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"+aRequest)
	if status, err := c.status(); status != http.StatusUnauthorized {
		t.Fatalf("%d %v", status, err)
	}
	if status, err := c.status(); err == nil {
		t.Errorf("what is behind the body was answered: %d", status)
	}
}
