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

	"dropgate/internal/tracing/otlptest"
)

// evidence is all output of the servers in a world.
type evidence struct {
	mu        sync.Mutex
	processes []*process
	texts     map[string]*strings.Builder // by place
	collector *otlptest.Collector         // nil without spans
}

// The places of texts for callers and for the collector.
const (
	placeError    = "an error"
	placePage     = "a page"
	placeAnswer   = "an answer" // any other answer
	placeHeader   = "a header"
	placeCookie   = "a cookie that is set"
	placeRedirect = "a redirect to the provider"
	placeSpan     = "a span"
)

// addProcess adds a process, so the sweep searches its output.
func (e *evidence) addProcess(p *process) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.processes = append(e.processes, p)
}

// add records a text from a place.
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

// recordAnswer records an answer to a caller, good or bad, with all headers.
func (e *evidence) recordAnswer(resp *http.Response, body string) {
	place := placeAnswer
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		place = placePage
	} else if resp.StatusCode >= http.StatusBadRequest {
		place = placeError
	}
	e.add(place, body)
	for name, values := range resp.Header {
		place := placeHeader
		if name == "Set-Cookie" {
			place = placeCookie
		} else if to, err := resp.Location(); name == "Location" && err == nil && to.Query().Has("code_challenge") {
			place = placeRedirect
		}
		e.add(place, name+": "+strings.Join(values, "\n"))
	}
}

// allowedIn reports whether a secret belongs in a place, because its reader is meant to
// have it.
func allowedIn(place, name string) bool {
	switch place {
	case placeAnswer:
		// The sign-out address at the provider holds the ID token. A claim of that is
		// the nonce.
		return slices.Contains([]string{"a client token", "a blob", "a correlationId", "an ID token", "a nonce"}, name)
	case placeCookie:
		return strings.HasPrefix(name, "the cookie ")
	case placeRedirect:
		return name == "a state" || name == "a nonce"
	default:
		return false
	}
}

// recordAdminPages records the public pages of the admin listener.
func (e *evidence) recordAdminPages(t *testing.T, p *process) {
	t.Helper()
	for _, path := range []string{"/metrics", "/readyz", "/version", "/livez"} {
		_, body := p.getAdmin(t, path)
		e.add(path, body)
	}
}

// all returns the text of each place. The processes should have ended.
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
	if e.collector != nil {
		all[placeSpan] = e.collector.Text()
	}
	return all
}

// hits lists secrets in places where they must not be. A hit has the place and the
// secret's name, never its value.
func (e *evidence) hits(s *secrets) (hits []string) {
	search, all := newSearcher(s.names()), e.all()
	for _, place := range slices.Sorted(maps.Keys(all)) {
		for _, name := range search.in(all[place]) {
			if !allowedIn(place, name) {
				hits = append(hits, fmt.Sprintf("%s shows %s", place, name))
			}
		}
	}
	return hits
}

// checkNoSecret fails the test if a secret is in a wrong place.
func (e *evidence) checkNoSecret(t *testing.T, s *secrets) {
	t.Helper()
	for _, hit := range e.hits(s) {
		t.Error(hit)
	}
	if len(e.processes) > 0 && !strings.Contains(e.all()["stdout"], "listening") {
		t.Error("no server wrote a log: the sweep has nothing to search")
	}
	if e.collector != nil && len(e.collector.Spans()) == 0 {
		t.Error("no server sent a span: the sweep has nothing to search")
	}
}
