package app_test

import (
	"net/http"
	"testing"
)

// TestChunkedBodyEndsConnection: a proxy that used the Content-Length would take
// the rest for the body.
func TestChunkedBodyEndsConnection(t *testing.T) {
	s := newFixture(t).start(t, nil)
	c := s.keep(t)
	c.send(t, "POST /client-tokens HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"+aRequest)
	if status, err := c.status(); status != http.StatusUnauthorized {
		t.Fatalf("%d %v", status, err)
	}
	if status, err := c.status(); err == nil {
		t.Errorf("what is behind the body was answered: %d", status)
	}
}
