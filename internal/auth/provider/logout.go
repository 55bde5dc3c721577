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

	// logoutTokenLife is the longest life that Back-Channel Logout 1.0 recommends.
	logoutTokenLife = 2 * time.Minute

	// notifyTimeout bounds the request to one client. The requests run
	// concurrently, so it bounds /end_session too.
	notifyTimeout = 5 * time.Second
)

// EndUser signs user out everywhere. It ends all sessions here and sends every
// client a logout token with sub and no sid (OpenID Connect Back-Channel Logout
// 1.0). The error joins the failed requests; the sessions here end in any case.
func (p *Provider) EndUser(ctx context.Context, user string) error {
	if _, err := p.claimsOf(user); err != nil {
		return err
	}
	return p.notify(ctx, p.store.endUser(user), user, "")
}

// EndSession ends one session, if it exists, and sends its clients a logout token
// with sub and sid. The error joins the failed requests.
func (p *Provider) EndSession(ctx context.Context, sid string) error {
	user, clients := p.store.endSession(sid)
	return p.notify(ctx, clients, user, sid)
}

// LogoutToken signs a logout token for user, or for the session sid, or for both.
func (p *Provider) LogoutToken(clientID, user, sid string) (string, error) {
	expires := time.Now().Add(logoutTokenLife)
	claims := oidc.NewLogoutTokenClaims(p.options.Issuer, user, oidc.Audience{clientID}, expires, rand.Text(), sid, 0)
	return p.keys.sign("logout+jwt", claims)
}

// notify sends each client a logout token, concurrently.
func (p *Provider) notify(ctx context.Context, clients []Client, user, sid string) error {
	failures := make([]error, len(clients))
	var sent sync.WaitGroup
	for i, c := range clients {
		if c.BackChannelLogoutURI == "" {
			continue
		}
		sent.Go(func() {
			if err := p.notifyOne(ctx, c, user, sid); err != nil {
				failures[i] = fmt.Errorf("sending a logout token to %s: %w", c.ID, err)
			}
		})
	}
	sent.Wait()
	return errors.Join(failures...)
}

func (p *Provider) notifyOne(ctx context.Context, c Client, user, sid string) error {
	token, err := p.LogoutToken(c.ID, user, sid)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, notifyTimeout)
	defer cancel()
	form := url.Values{"logout_token": {token}}.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.BackChannelLogoutURI, strings.NewReader(form))
	if err != nil {
		return fmt.Errorf("back-channel logout URI: %w", err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	carrier := http.Client{
		Transport: p.options.Transport,
		// A logout token goes to the registered address only.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := carrier.Do(r)
	if err != nil {
		return err //nolint:wrapcheck // notify names the client
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusNoContent {
		return fmt.Errorf("the client answered %s", resp.Status)
	}
	return nil
}

// serveEndSession is RP-initiated logout. op validates the request, but does not
// know the browser's cookie.
func (p *Provider) serveEndSession(w http.ResponseWriter, r *http.Request) {
	// Clients get their logout tokens even if the browser does not wait.
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
	in, here := p.sessionOf(r)
	if hint := valid.IDTokenHintClaims; hint != nil {
		sids[hint.SessionID] = true
		// The hint may name an older session of this browser. Another user's
		// hint must not sign this browser out.
		here = here && in.user == hint.Subject
	}
	if here {
		sids[in.sid] = true
		p.setCookie(w, "")
	}
	var ended sync.WaitGroup
	for sid := range sids {
		ended.Go(func() { _ = p.EndSession(ctx, sid) }) // the browser goes on in any case
	}
	ended.Wait()
	http.Redirect(w, r, valid.RedirectURI, http.StatusSeeOther) //nolint:gosec // op has checked it against the registration
}

func (p *Provider) serveSignedOut(w http.ResponseWriter, _ *http.Request) {
	p.show(w, "signed-out", nil)
}

func (p *Provider) serveLogoutUser(w http.ResponseWriter, r *http.Request) {
	user := r.FormValue("user")
	if _, err := p.claimsOf(user); err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	if err := p.EndUser(context.WithoutCancel(r.Context()), user); err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
