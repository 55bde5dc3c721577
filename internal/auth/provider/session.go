package provider

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	cookieName = "demo_provider_session"

	// sessionLife is how long single sign-on lasts.
	sessionLife = 24 * time.Hour
)

// session is a signed-in browser.
type session struct {
	sid   string // the sid claim of tokens
	user  string
	since time.Time // when the user pressed the button
}

// storedSession is a session with the clients signed in to through it.
type storedSession struct {
	session

	clients map[string]bool // by ID
}

// sidOf derives the sid from a cookie. Clients see the sid in tokens, and must
// not be able to derive the cookie from it.
func sidOf(cookie string) string {
	sum := sha256.Sum256([]byte(cookie))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// sessionOf finds the session of the browser behind r.
func (p *Provider) sessionOf(r *http.Request) (session, bool) {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return session{}, false
	}
	return p.store.session(sidOf(cookie.Value))
}

// setCookie sets the session cookie; an empty value deletes it.
func (p *Provider) setCookie(w http.ResponseWriter, value string) {
	age := 0 // until the browser closes
	if value == "" {
		age = -1
	}
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure unless the sandbox runs on http
		Name: cookieName, Value: value, Path: "/", MaxAge: age,
		HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: strings.HasPrefix(p.options.BrowserURL, "https://"),
	})
}

// session finds a live session by its sid.
func (s *storage) session(sid string) (session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.sessions.get(sid)
	return found.session, ok
}

// beginSession signs user in and returns the cookie for the browser.
func (s *storage) beginSession(user string) (string, session) {
	cookie := rand.Text()
	started := session{sid: sidOf(cookie), user: user, since: time.Now()}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions.put(started.sid, storedSession{session: started, clients: map[string]bool{}})
	return cookie, started
}

// renewSession sets the time of the sign-in to now.
func (s *storage) renewSession(sid string) (session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.sessions.get(sid)
	if ok {
		found.since = time.Now()
		s.sessions.put(sid, found)
	}
	return found.session, ok
}

// endSession ends a session. It returns the user and the clients signed in to
// through it.
func (s *storage) endSession(sid string) (string, []Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ended, _ := s.sessions.take(sid)
	var clients []Client
	for _, id := range slices.Sorted(maps.Keys(ended.clients)) {
		if c, known := s.clients[id]; known {
			clients = append(clients, c)
		}
	}
	return ended.user, clients
}

// endUser ends all sessions of user. It returns every client, because a client's
// own session may outlive the one here.
func (s *storage) endUser(user string) []Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions.removeIf(func(in storedSession) bool { return in.user == user })
	return slices.Collect(maps.Values(s.clients))
}
