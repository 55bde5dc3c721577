package provider

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

const (
	signedOutPath = "/signed-out"

	// logoutTokenLife is as long as the specification advises at most.
	logoutTokenLife = 2 * time.Minute

	// tellTimeout bounds what a client takes to hear of a logout. All clients
	// are told at once, so that it bounds /end_session as well.
	tellTimeout = 5 * time.Second
)

// EndUser signs user out everywhere: it ends all sessions here, and tells every
// client that takes logout tokens to end all of its own (OpenID Connect
// Back-Channel Logout 1.0, with sub and no sid). The error joins what failed;
// the sessions here are ended all the same.
func (p *Provider) EndUser(ctx context.Context, user string) error {
	if err := p.knows(user); err != nil {
		return err
	}
	return p.tell(ctx, p.store.endUser(user), user, "")
}

// EndSession ends one session, and tells the clients that were signed in to
// with it and that take logout tokens, with sub and sid. It does nothing when
// there is no such session. The error joins what failed.
func (p *Provider) EndSession(ctx context.Context, sid string) error {
	user, clients := p.store.endSession(sid)
	return p.tell(ctx, clients, user, sid)
}

// LogoutToken signs what tells a client that user, or the session sid, is
// signed out. One of the two may be empty.
func (p *Provider) LogoutToken(clientID, user, sid string) (string, error) {
	expires := time.Now().Add(logoutTokenLife)
	claims := oidc.NewLogoutTokenClaims(p.options.Issuer, user, oidc.Audience{clientID}, expires, rand.Text(), sid, 0)
	return p.keys.sign("logout+jwt", claims)
}

// tell sends each client a logout token, all at once.
func (p *Provider) tell(ctx context.Context, clients []Client, user, sid string) error {
	failures := make([]error, len(clients))
	var told sync.WaitGroup
	for i, c := range clients {
		if c.BackChannelLogoutURI == "" {
			continue
		}
		told.Go(func() {
			if err := p.tellOne(ctx, c, user, sid); err != nil {
				failures[i] = fmt.Errorf("telling %s of a logout: %w", c.ID, err)
			}
		})
	}
	told.Wait()
	return errors.Join(failures...)
}

func (p *Provider) tellOne(ctx context.Context, c Client, user, sid string) error {
	token, err := p.LogoutToken(c.ID, user, sid)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	form := url.Values{"logout_token": {token}}.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.BackChannelLogoutURI, strings.NewReader(form))
	if err != nil {
		return fmt.Errorf("its address: %w", err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	carrier := http.Client{
		Transport: p.options.Transport,
		// A logout token is for the registered address and no other.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := carrier.Do(r)
	if err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusNoContent {
		return fmt.Errorf("it answered %s", resp.Status)
	}
	return nil
}

// endSession is RP-initiated logout. op validates; the rest is here, because op
// does not see the browser's cookie.
func (p *Provider) endSession(w http.ResponseWriter, r *http.Request) {
	// The clients are to hear of it even if the browser does not wait.
	ctx := op.ContextWithIssuer(context.WithoutCancel(r.Context()), p.options.Issuer)
	asked, err := op.ParseEndSessionRequest(r, p.protocol.Decoder())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	valid, err := op.ValidateEndSessionRequest(ctx, asked, p.protocol)
	if err != nil {
		http.Error(w, oidc.DefaultToServerError(err, "").Description, http.StatusBadRequest)
		return
	}
	sids := map[string]bool{}
	in, here := p.browser(r)
	if hint := valid.IDTokenHintClaims; hint != nil {
		sids[hint.SessionID] = true
		// The hint may be of an older session of this browser. Somebody else's
		// does not sign this browser out.
		here = here && in.user == hint.Subject
	}
	if here {
		sids[in.sid] = true
		p.setCookie(w, "")
	}
	var ended sync.WaitGroup
	for sid := range sids {
		// A client that cannot be told is no reason to keep the browser.
		ended.Go(func() { _ = p.EndSession(ctx, sid) })
	}
	ended.Wait()
	http.Redirect(w, r, valid.RedirectURI, http.StatusSeeOther) //nolint:gosec // op has found it among the client's
}

func (p *Provider) signedOut(w http.ResponseWriter, _ *http.Request) { p.show(w, "signed-out", nil) }

func (p *Provider) logoutUser(w http.ResponseWriter, r *http.Request) {
	user := r.FormValue("user")
	if err := p.knows(user); err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	if err := p.EndUser(context.WithoutCancel(r.Context()), user); err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
