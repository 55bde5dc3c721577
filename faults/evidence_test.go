//go:build faults

package faults_test

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
)

// evidence is all that came out of the servers of a world but what was for those
// who got it.
type evidence struct {
	mu        sync.Mutex
	processes []*process
	texts     map[string]*strings.Builder // by the place
}

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

// keeps fails the test if one of the secrets is anywhere. It tells the place and
// the secret's name, and not the secret.
func (e *evidence) keeps(t *testing.T, s *secrets) {
	t.Helper()
	search, all := newSearcher(s.names()), e.all()
	for _, place := range slices.Sorted(maps.Keys(all)) {
		for _, name := range search.in(all[place]) {
			t.Errorf("%s shows %s", place, name)
		}
	}
	if len(e.processes) > 0 && !strings.Contains(all["stdout"], "listening") {
		t.Error("no server has written anything: there is nothing to look at")
	}
}
