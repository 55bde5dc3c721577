package auth

import (
	"net/http"
	"time"

	"dropgate/internal/clienttoken"
)

// Session is the signed-in user of one request.
type Session struct {
	User clienttoken.User
	Mode string // the mode vouching for the user: "bearer"
	// ByCookie is true if the browser attached the credentials by itself, to us
	// or to a proxy in front of us. Another site may have caused such a request.
	ByCookie bool
	Expires  time.Time // end of the credentials; zero if unknown
	// SetCookies are Set-Cookie headers of the application for this one response. They
	// are part of a session returned with an error, too.
	SetCookies []string
	// SignedOut reports whether the sign-in has ended on this replica during the
	// request. It is nil in modes without a sign-out.
	SignedOut func() bool
}

// Over reports whether the session has ended during the request, as far as this
// replica knows. It makes no calls.
func (s Session) Over() bool {
	return s.SignedOut != nil && s.SignedOut() || !s.Expires.IsZero() && time.Since(s.Expires) >= maxSkew
}

// Ended returns the rejection for a session that is over.
func (s Session) Ended() *Rejection {
	return &Rejection{Mode: s.Mode, Kind: SessionEnded, Reason: "the sign-in ended while the request was under way"}
}

// NamesOrigin reports whether a header names the request's origin. Browsers
// since 2023 send one with every unsafe request.
func NamesOrigin(r *http.Request) bool {
	return r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != ""
}

// bytes returns the memory held by the session.
func (s Session) bytes() int { return s.User.Bytes() }

// forLog returns the part of a refused session for the log.
func (s Session) forLog() Session {
	return Session{User: clienttoken.User{ID: s.User.ID}, Mode: s.Mode, SetCookies: s.SetCookies}
}
