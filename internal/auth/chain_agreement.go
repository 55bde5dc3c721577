package auth

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"dropgate/internal/ratelimit"
)

// agree refuses a request with other credentials that are good for a different
// user: nothing says which user was meant. A bad credential names nobody, and does
// not count.
func (c *Chain) agree(r *http.Request, charge *ratelimit.Charge, first Session, others []Mode) error {
	if len(others) == 0 {
		return nil // without the copy below
	}
	looking := r.WithContext(r.Context())
	looking.Method = http.MethodGet // it does not use a session
	for _, m := range others {
		var err error
		if forward, ok := m.(*Forward); ok {
			err = c.agreeElsewhere(r, charge, first, forward)
		} else {
			second, asked := c.ask(m, looking, charge)
			err = c.agreed(first, second, asked)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// agreeElsewhere asks the application about the credentials of each kind that no
// mode here reads. It may prefer one kind to the other, so each is a question.
func (c *Chain) agreeElsewhere(r *http.Request, charge *ratelimit.Charge, first Session, f *Forward) error {
	for name, values := range map[string][]string{"Cookie": c.foreignCookies(r), "Authorization": c.foreignAuthorizations(r)} {
		if len(values) == 0 {
			continue
		}
		second, err := f.look(r.Context(), charge, http.Header{name: values}, first.User.ID)
		second.User.ID = c.users.Canonical(second.User.ID)
		if err := c.agreed(first, second, err); err != nil {
			return err
		}
	}
	return nil
}

// agreed judges the answer to a second credential.
func (c *Chain) agreed(first, second Session, err error) error {
	if _, bad := errors.AsType[*Rejection](err); bad || errors.Is(err, errNotMine) {
		return nil
	}
	if err != nil {
		return err
	}
	if second.User.ID != first.User.ID {
		return &Rejection{
			Mode: first.Mode, Reason: "the credentials of " + first.Mode + " and of " + second.Mode + " name different users",
			Challenge: c.challenge(),
		}
	}
	return nil
}

// foreignCookies returns the request's Cookie headers without the cookies of the
// modes here. The rest stays byte for byte: the application may read what
// net/http does not.
func (c *Chain) foreignCookies(r *http.Request) []string {
	var foreign []string
	for _, header := range r.Header["Cookie"] {
		var kept []string
		for pair := range strings.SplitSeq(header, ";") {
			name, _, _ := strings.Cut(pair, "=")
			if name = strings.Trim(name, " \t"); strings.Trim(pair, " \t") != "" && !c.readsCookie(name) {
				kept = append(kept, pair)
			}
		}
		if len(kept) > 0 {
			foreign = append(foreign, strings.Trim(strings.Join(kept, ";"), " \t"))
		}
	}
	return foreign
}

func (c *Chain) readsCookie(name string) bool {
	for _, m := range c.modes {
		switch m := m.(type) {
		case *OIDC:
			if m.cookies.ours(name) {
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

// foreignAuthorizations returns the request's Authorization headers without those
// of the mode bearer, if it is on.
func (c *Chain) foreignAuthorizations(r *http.Request) []string {
	var foreign []string
	for _, header := range r.Header["Authorization"] {
		if c.challenge() == "" || !bearerReads(header) {
			foreign = append(foreign, header)
		}
	}
	return foreign
}

// look asks whom second credentials of a request name. The request's user pays
// before the question. Both answers are remembered: "nobody" for other second
// looks only, because most requests have cookies of no session.
func (f *Forward) look(ctx context.Context, charge *ratelimit.Charge, credentials http.Header, userID string) (Session, error) {
	digest := digestCredentials(credentials)
	if session, ok := f.known.Get(digest); ok {
		return session, nil
	}
	if _, ok := f.nobody.Get(digest); ok {
		return Session{}, errNotMine
	}
	if err := charge.Pay(ctx, userID); err != nil {
		return Session{}, err
	}
	asked := time.Now()
	session, err := f.answer(ctx, credentials, digest)
	if _, nobody := errors.AsType[*Rejection](err); nobody && f.config.Cache > 0 {
		f.nobody.Add(digest, struct{}{}, 0, asked.Add(f.config.Cache))
	}
	return session, err
}
