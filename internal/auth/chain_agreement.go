package auth

import (
	"errors"
	"net/http"
	"strings"

	"dropgate/internal/ratelimit"
)

// checkOthers refuses a request with further credentials of a different user,
// because it is unclear which user was meant. Bad credentials do not count.
func (c *Chain) checkOthers(r *http.Request, charge *ratelimit.Charge, first Session, others []Mode) error {
	if len(others) == 0 {
		return nil // saves the copy below
	}
	peek := r.WithContext(r.Context())
	peek.Method = http.MethodGet // GET does not extend a session
	for _, m := range others {
		var err error
		if forward, ok := m.(*Forward); ok {
			err = c.checkApplication(r, charge, first, forward)
		} else {
			other, asked := c.ask(m, peek, charge)
			err = c.checkSameUser(first, other, asked)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkApplication asks the application about the credentials that no other mode
// reads. It may prefer cookies or the Authorization header, so each is a request
// of its own.
func (c *Chain) checkApplication(r *http.Request, charge *ratelimit.Charge, first Session, f *Forward) error {
	for name, values := range map[string][]string{"Cookie": c.applicationCookies(r), "Authorization": c.applicationAuthorizations(r)} {
		if len(values) == 0 {
			continue
		}
		other, err := f.authenticateOther(r.Context(), charge, f.question(r, http.Header{name: values}), first.User.ID)
		other.User.ID = c.users.Canonical(other.User.ID)
		if err := c.checkSameUser(first, other, err); err != nil {
			return err
		}
	}
	return nil
}

// checkSameUser compares the users of two credentials. The error err is the
// answer to the second one.
func (c *Chain) checkSameUser(first, second Session, err error) error {
	if _, bad := errors.AsType[*Rejection](err); bad || errors.Is(err, errNoCredential) {
		return nil
	}
	if err != nil {
		return err
	}
	if second.User.ID != first.User.ID {
		return &Rejection{
			Mode: first.Mode, Kind: Disagreement, Reason: "the credentials of " + first.Mode + " and of " + second.Mode + " name different users",
			Challenge: c.challenge(),
		}
	}
	return nil
}

// applicationCookies returns the Cookie headers without our own modes' cookies.
// The rest stays byte for byte, since the application may parse cookies unlike
// net/http.
func (c *Chain) applicationCookies(r *http.Request) []string {
	var headers []string
	for _, header := range r.Header["Cookie"] {
		var pairs []string
		for pair := range strings.SplitSeq(header, ";") {
			name, _, _ := strings.Cut(pair, "=")
			if name = strings.Trim(name, " \t"); strings.Trim(pair, " \t") != "" && !c.readsCookie(name) {
				pairs = append(pairs, pair)
			}
		}
		if len(pairs) > 0 {
			headers = append(headers, strings.Trim(strings.Join(pairs, ";"), " \t"))
		}
	}
	return headers
}

func (c *Chain) readsCookie(name string) bool {
	for _, m := range c.modes {
		switch m := m.(type) {
		case *OIDC:
			if m.cookies.owns(name) {
				return true
			}
		case *Bearer:
			if name != "" && name == m.config.Cookie {
				return true
			}
		}
	}
	return false
}

// applicationAuthorizations returns the Authorization headers that the mode
// bearer, if it is on, does not read.
func (c *Chain) applicationAuthorizations(r *http.Request) []string {
	var headers []string
	for _, header := range r.Header["Authorization"] {
		if c.challenge() == "" || !bearerReads(header) {
			headers = append(headers, header)
		}
	}
	return headers
}
