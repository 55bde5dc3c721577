package handler_test

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// heard returns how many calls Dwolla has had, and the bodies of those for client
// tokens, and forgets them.
func (w *world) heard() (calls int, bodies []string) {
	requests := w.dwolla.TakeRequests()
	for _, r := range requests {
		if r.Path == "/client-tokens" {
			bodies = append(bodies, r.Body)
		}
	}
	return len(requests), bodies
}

// secrets must never appear in a log or a metric.
type secrets struct {
	mu     sync.Mutex
	values map[string]bool
}

func (s *secrets) add(value string) {
	if len(value) < 16 {
		return // would be found everywhere
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[value] = true
}

// spellings lists each secret in every encoding.
func (s *secrets) spellings() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, v := range slices.Collect(maps.Keys(s.values)) {
		quoted, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		all = append(all, v, strings.Trim(string(quoted), `"`), url.QueryEscape(v), url.PathEscape(v),
			base64.RawStdEncoding.EncodeToString([]byte(v)), base64.RawURLEncoding.EncodeToString([]byte(v)))
		if parts := strings.Split(v, "."); len(parts) == 3 && len(parts[2]) > 16 {
			all = append(all, parts[2]) // the signature of a JSON Web Token
		}
	}
	return all
}

// noSecretIn fails tb if where says one of the world's secrets.
func (w *world) noSecretIn(tb testing.TB, where, text string) {
	tb.Helper()
	for _, s := range w.dwolla.Secrets() {
		w.tokens.add(s)
	}
	for _, s := range w.tokens.spellings() {
		if at := strings.Index(text, s); at >= 0 {
			tb.Errorf("%s hold a secret: ...%.200q", where, text[max(0, at-60):])
		}
	}
}
