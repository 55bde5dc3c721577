package dwollatest

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// Request is one that has reached the server.
type Request struct {
	Method, Path, Body string
}

// TakeRequests returns the requests since the last call, and forgets them.
func (s *Server) TakeRequests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.requests
	s.requests = nil
	return taken
}

// Secrets returns all secrets that the server has seen or given out, each as it
// was sent: the application's secret and Basic credentials, access tokens, client
// tokens.
func (s *Server) Secrets() []string {
	for _, token := range s.ClientTokens() {
		s.addSecret(token.Token)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.secrets))
}

func (s *Server) addSecret(secret string) {
	if secret == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets[secret] = true
}

// record reads the request, and reports whether all of it has come.
func (s *Server) record(r *http.Request) bool {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return false
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	_, credentials, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	s.addSecret(credentials)
	_, password, _ := r.BasicAuth()
	s.addSecret(password)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, Request{Method: r.Method, Path: r.URL.Path, Body: string(body)})
	return true
}

// hold makes requests for one path wait.
type hold struct {
	left     int
	arrived  chan struct{}
	released chan struct{}
}

// Hold makes the next n requests for a path wait, until release or until their
// clients go away. Each one sends to arrived. The end of the test releases them,
// too, and so does another Hold of the path.
func (s *Server) Hold(path string, n int) (arrived <-chan struct{}, release func()) {
	h := &hold{left: n, arrived: make(chan struct{}, n), released: make(chan struct{})}
	s.release(path)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holds[path] = h
	return h.arrived, func() { s.release(path) }
}

func (s *Server) release(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.holds[path]; h != nil {
		close(h.released)
		delete(s.holds, path)
	}
}

func (s *Server) releaseAll() {
	s.mu.Lock()
	paths := slices.Collect(maps.Keys(s.holds))
	s.mu.Unlock()
	for _, path := range paths {
		s.release(path)
	}
}

// wait keeps a request that is to be held. It reports whether the client still
// waits for the answer.
func (s *Server) wait(r *http.Request) bool {
	s.mu.Lock()
	h := s.holds[r.URL.Path]
	if h == nil || h.left == 0 {
		s.mu.Unlock()
		return true
	}
	h.left--
	s.mu.Unlock()
	h.arrived <- struct{}{} // has room for all
	select {
	case <-h.released:
		return true
	case <-r.Context().Done():
		return false
	}
}
