//go:build faults

package faults_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// evidence is all that came out of the servers of a world.
type evidence struct {
	mu        sync.Mutex
	processes []*process
	texts     map[string]*strings.Builder // by the place
}

// The places where what a server says to callers is kept. There is none for
// traces, since it sends none.
const (
	anError     = "an error"
	aPage       = "a page"
	anAnswer    = "an answer" // any other
	aHeader     = "a header"
	aCookie     = "a cookie that is set"
	toAProvider = "a redirect to the provider"
)

// of will have the output of a process looked at.
func (e *evidence) of(p *process) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.processes = append(e.processes, p)
}

// add keeps a text that came from a place.
func (e *evidence) add(place, text string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.texts == nil {
		e.texts = map[string]*strings.Builder{}
	}
	if e.texts[place] == nil {
		e.texts[place] = &strings.Builder{}
	}
	e.texts[place].WriteString(text + "\n")
}

// answer keeps what a caller was answered, good or bad, with all of its headers.
func (e *evidence) answer(resp *http.Response, body string) {
	place := anAnswer
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		place = aPage
	} else if resp.StatusCode >= http.StatusBadRequest {
		place = anError
	}
	e.add(place, body)
	for name, values := range resp.Header {
		place := aHeader
		if name == "Set-Cookie" {
			place = aCookie
		} else if to, err := resp.Location(); name == "Location" && err == nil && to.Query().Has("code_challenge") {
			place = toAProvider
		}
		e.add(place, name+": "+strings.Join(values, "\n"))
	}
}

// meant says whether a secret is in a place for whoever looks there.
func meant(place, name string) bool {
	switch place {
	case anAnswer:
		// The ID token is in the address at which a browser ends its session at the
		// provider, and claims the nonce.
		return slices.Contains([]string{"a client token", "a blob", "a correlationId", "an ID token", "a nonce"}, name)
	case aCookie:
		return strings.HasPrefix(name, "the cookie ")
	case toAProvider:
		return name == "a state" || name == "a nonce"
	default:
		return false
	}
}

// asks keeps what the admin listener tells everybody.
func (e *evidence) asks(t *testing.T, p *process) {
	t.Helper()
	for _, path := range []string{"/metrics", "/readyz", "/version", "/livez"} {
		_, body := p.ask(t, path)
		e.add(path, body)
	}
}

// all is every text by its place. The processes should have ended.
func (e *evidence) all() map[string]string {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := map[string]string{}
	for place, text := range e.texts {
		all[place] = text.String()
	}
	for _, p := range e.processes {
		all["stdout"] += p.stdout.String()
		all["stderr"] += p.stderr.String()
	}
	return all
}

// hits are the secrets that are where they must not be. They tell the place and
// the secret's name, and not the secret.
func (e *evidence) hits(s *secrets) (hits []string) {
	search, all := newSearcher(s.names()), e.all()
	for _, place := range slices.Sorted(maps.Keys(all)) {
		for _, name := range search.in(all[place]) {
			if !meant(place, name) {
				hits = append(hits, fmt.Sprintf("%s shows %s", place, name))
			}
		}
	}
	return hits
}

// keeps fails the test if one of the secrets is anywhere.
func (e *evidence) keeps(t *testing.T, s *secrets) {
	t.Helper()
	for _, hit := range e.hits(s) {
		t.Error(hit)
	}
	if len(e.processes) > 0 && !strings.Contains(e.all()["stdout"], "listening") {
		t.Error("no server has written anything: there is nothing to look at")
	}
}
