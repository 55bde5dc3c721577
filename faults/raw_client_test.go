//go:build faults

package faults_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// rawClient sends raw bytes and reads answers. Unlike net/http's client it never
// retries, so a test sees a broken request.
type rawClient struct {
	address   string
	keepAlive bool // reuses its connection until the server closes it

	conn   net.Conn
	r      *bufio.Reader
	dialed int
}

// rawAnswer is an answer to rawClient.
type rawAnswer struct {
	status int
	token  string
	text   string
	header http.Header
	closes bool
}

// do sends a request and reads its answer. It dials first if its connection is closed:
// a client notices that before it sends.
func (c *rawClient) do(request string) (rawAnswer, error) {
	if c.conn != nil && c.hasEnded() {
		c.close()
	}
	if c.conn == nil {
		if err := c.dial(); err != nil {
			return rawAnswer{}, err
		}
	}
	_ = c.conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c.conn, request); err != nil {
		c.close()
		return rawAnswer{}, fmt.Errorf("sending: %w", err)
	}
	got, err := c.read()
	if err != nil || got.closes || !c.keepAlive {
		c.close()
	}
	return got, err
}

func (c *rawClient) dial() error {
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(context.Background(), "tcp", c.address)
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	c.conn, c.r = conn, bufio.NewReader(conn)
	c.dialed++
	return nil
}

func (c *rawClient) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// hasEnded reports whether the server has closed the connection.
func (c *rawClient) hasEnded() bool {
	_ = c.conn.SetReadDeadline(time.Now().Add(50 * time.Microsecond))
	_, err := c.r.Peek(1)
	timeout, ok := errors.AsType[net.Error](err)
	return !ok || !timeout.Timeout() // also ended: bytes without a request
}

// read reads one answer.
func (c *rawClient) read() (rawAnswer, error) {
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return rawAnswer{}, fmt.Errorf("no answer: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return rawAnswer{}, fmt.Errorf("incomplete answer: %w", err)
	}
	got := rawAnswer{status: resp.StatusCode, text: string(text), header: resp.Header, closes: resp.Close}
	var answer struct{ Token string }
	if json.Unmarshal(text, &answer) == nil {
		got.token = answer.Token
	}
	return got, nil
}

// tokenRequest returns a request for a token, with a credential's header lines.
func tokenRequest(host, credential string) string {
	const body = `{"action":"customer.read"}`
	return fmt.Sprintf("POST /client-tokens HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n%s",
		host, len(body), strings.TrimSpace(credential)+"\r\n", body)
}
