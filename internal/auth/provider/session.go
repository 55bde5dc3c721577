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

// session is a browser that is signed in.
type session struct {
	sid   string // as tokens name it
	user  string
	since time.Time // when the user pressed the button
}

// signedIn is a session and the clients that it was used for.
type signedIn struct {
	session
	clients map[string]bool // by ID
}

// sidOf is the sid of the session behind a cookie. Tokens show the sid to
// clients, who must not be able to make the cookie out of it.
func sidOf(cookie string) string {
	sum := sha256.Sum256([]byte(cookie))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// browser is the session of the browser that sent r.
func (p *Provider) browser(r *http.Request) (session, bool) {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return session{}, false
	}
	return p.store.session(sidOf(cookie.Value))
}

// setCookie gives the browser a cookie; an empty value takes it away.
func (p *Provider) setCookie(w http.ResponseWriter, value string) {
	age := 0 // until the browser ends
	if value == "" {
		age = -1
	}
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure as far as a sandbox with http can
		Name: cookieName, Value: value, Path: "/", MaxAge: age,
		HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: strings.HasPrefix(p.options.Issuer, "https://"),
	})
}

// session is the session with that sid, while it lasts.
func (s *storage) session(sid string) (session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.sessions.get(sid)
	return found.session, ok
}

// beginSession signs user in, and returns the cookie for the browser.
func (s *storage) beginSession(user string) (string, session) {
	cookie := rand.Text()
	begun := session{sid: sidOf(cookie), user: user, since: time.Now()}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions.put(begun.sid, signedIn{session: begun, clients: map[string]bool{}})
	return cookie, begun
}

// renewSession says that the user has just signed in again.
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

// endSession ends a session, and returns whose it was and the clients that were
// signed in to with it.
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

// endUser ends all sessions of user, and returns all clients: one may have a
// session of its own that has outlived the one here.
func (s *storage) endUser(user string) []Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions.drop(func(in signedIn) bool { return in.user == user })
	return slices.Collect(maps.Values(s.clients))
}
