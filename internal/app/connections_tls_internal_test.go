package app

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"net/http"
	"testing"
	"time"
)

// overTLS is a server with room for few connections that speaks TLS.
func overTLS(t *testing.T, most int, h http.Handler) *server {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	s := prepared(t, most, h)
	s.listener.tls = &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
	}
	go func() { _ = s.serve() }()
	return s
}

// talk opens a connection, shakes hands and says text. It returns what came back
// first.
func talk(t *testing.T, s *server, text string) (net.Conn, string) {
	t.Helper()
	plain, _ := connect(t, s, "")
	c := tls.Client(plain, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12})
	if err := c.HandshakeContext(t.Context()); err != nil {
		return c, err.Error()
	}
	if text == "" {
		return c, ""
	}
	if _, err := io.WriteString(c, text); err != nil {
		return c, err.Error()
	}
	answer := make([]byte, 12)
	_, _ = io.ReadFull(c, answer)
	return c, string(answer)
}

// Whoever keeps us waiting over TLS makes room for a good client: with a part of
// a handshake, with none, with a part of a request, or by not reading.
func TestSlowClientsOverTLSMakeRoomForAGoodOne(t *testing.T) {
	for name, linger := range map[string]func(t *testing.T, s *server){
		"nothing": func(t *testing.T, s *server) { t.Helper(); connect(t, s, "") },
		"a part of a record": func(t *testing.T, s *server) {
			t.Helper()
			c, _ := connect(t, s, "")
			_, _ = c.Write([]byte{22, 3, 1, 2})
		},
		"a handshake": func(t *testing.T, s *server) { t.Helper(); talk(t, s, "") },
		"a part of a request": func(t *testing.T, s *server) {
			t.Helper()
			c, _ := talk(t, s, "")
			_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nX-Slow: ")
		},
		"an answer unread": func(t *testing.T, s *server) {
			t.Helper()
			c, _ := talk(t, s, "")
			_, _ = io.WriteString(c, "GET /gush HTTP/1.1\r\nHost: x\r\n\r\n")
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := overTLS(t, 2, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/gush" {
					gushing(w, r)
				}
			}))
			for range 3 {
				linger(t, s)
			}
			if _, answer := talk(t, s, plainRequest); answer != "HTTP/1.1 200" {
				t.Errorf("a good client gets %q", answer)
			}
		})
	}
}

func TestARequestOverTLSIsNotPushedOut(t *testing.T) {
	release, begun := make(chan struct{}), make(chan struct{})
	s := overTLS(t, 1, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(begun)
		<-release
	}))
	busy, _ := talk(t, s, "")
	if _, err := io.WriteString(busy, plainRequest); err != nil {
		t.Fatal(err)
	}
	<-begun
	turnedAway, _ := connect(t, s, "")
	if _, err := turnedAway.Read(make([]byte, 1)); err == nil {
		t.Error("a second connection is served")
	}
	close(release)
	resp, err := http.ReadResponse(bufio.NewReader(busy), nil)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("the request: %+v %v", resp, err)
	}
	_ = resp.Body.Close()
}

// An idle connection over TLS is closed in the drain, and one on which a request
// has just come is answered.
func TestADrainOverTLSEndsIdleConnections(t *testing.T) {
	s := overTLS(t, 10, http.HandlerFunc(closing))
	c, _ := talk(t, s, "")
	waitFor(t, s, 1)
	left := make(chan bool, 1)
	go func() { left <- s.drain(t.Context(), 0) }()
	if _, err := io.WriteString(c, plainRequest); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 12)
	if _, err := io.ReadFull(c, answer); err != nil || string(answer) != "HTTP/1.1 200" {
		t.Errorf("%q %v", answer, err)
	}
	if !<-left {
		t.Error("the drain has not come to its end")
	}
}
