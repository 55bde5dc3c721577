package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"time"

	"dropgate/internal/dwolla/emulator"
)

// attacks are the attacks that a page cannot make itself: they need a cookie that
// scripts cannot read, or another site. They attack only the service of this
// sandbox.
type attacks struct {
	service, issuer string // URLs of the service and of the demo provider
	stranger        string // origin of the attacker's own page
	transport       http.RoundTripper
}

// attackTimeout bounds one attack.
const attackTimeout = 10 * time.Second

// step is one request of an attack and its outcome.
type step struct {
	What    string `json:"what"`
	Status  int    `json:"status"`
	Code    string `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
}

// attackReport is the outcome of an attack.
type attackReport struct {
	Steps   []step `json:"steps"`
	Refused bool   `json:"refused"`        // the last step was refused
	Open    string `json:"open,omitempty"` // a page that attacks when it is opened
}

func (a *attacks) serve(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), attackTimeout)
	defer cancel()
	var steps []step
	var err error
	switch r.PathValue("name") {
	case "replayed-cookie":
		steps, err = a.replayCookie(ctx)
	case "forged-webhook":
		steps, err = a.forgeWebhook(ctx)
	case "cross-origin-form":
		respond(w, http.StatusOK, attackReport{Steps: []step{}, Open: a.stranger + attackerPath})
		return
	default:
		serveNothing(w, r)
		return
	}
	if err != nil {
		refuse(w, http.StatusBadGateway, "UpstreamError", err.Error())
		return
	}
	respond(w, http.StatusOK, attackReport{Steps: steps, Refused: steps[len(steps)-1].Status >= http.StatusBadRequest})
}

// replayCookie signs alice in, in a browser of its own, copies her cookie, signs her
// out, and uses the copy.
func (a *attacks) replayCookie(ctx context.Context) ([]step, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, fmt.Errorf("a second browser: %w", err)
	}
	home, err := url.Parse(a.service)
	if err != nil {
		return nil, fmt.Errorf("the service's address: %w", err)
	}
	browser := attacker{&http.Client{Jar: jar, Transport: a.transport}}
	login := signInURL(a.issuer, a.service, "alice", basePath+"/session")
	if err := browser.signIn(ctx, login); err != nil {
		return nil, err
	}
	at := slices.IndexFunc(jar.Cookies(home), func(c *http.Cookie) bool { return strings.HasSuffix(c.Name, "dropgate-session") })
	if at < 0 {
		return nil, errors.New("the second browser could not sign in")
	}
	stolen := jar.Cookies(home)[at]
	thief := attacker{&http.Client{Transport: a.transport}}
	before, err := thief.do(ctx, "A copy of alice's cookie, while she is signed in", http.MethodGet, a.service+"/session", stolen)
	if err != nil {
		return nil, err
	}
	out, err := browser.do(ctx, "Alice signs out", http.MethodPost, a.service+"/auth/logout")
	if err != nil {
		return nil, err
	}
	after, err := thief.do(ctx, "The same copy, after she has signed out", http.MethodPost, a.service+"/client-tokens", stolen)
	return []step{before, out, after}, err
}

// forgeWebhook sends a webhook that says alice's Customer is suspended, signed with a
// guessed secret.
func (a *attacks) forgeWebhook(ctx context.Context) ([]step, error) {
	body := `{"id":"00000000-0000-4000-8000-000000000000","topic":"customer_suspended","resourceId":"` + demoAlice + `"}`
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.service+"/webhooks/dwolla", strings.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("the forged webhook: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Request-Signature-SHA-256", emulator.Sign("a guessed secret", body))
	sent, err := attacker{&http.Client{Transport: a.transport}}.send(r, "A webhook that suspends alice's Customer, signed with a guessed secret")
	return []step{sent}, err
}

// attacker is a browser or program in the attacker's hands.
type attacker struct{ http *http.Client }

// signIn follows a sign-in to the service's callback. That answers with a page that
// loads its own URL again.
func (a attacker) signIn(ctx context.Context, at string) error {
	for range 2 {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, at, http.NoBody)
		if err != nil {
			return fmt.Errorf("signing in: %w", err)
		}
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		resp, err := a.http.Do(r)
		if err != nil {
			return fmt.Errorf("signing in: %w", err)
		}
		_ = resp.Body.Close()
		at = resp.Request.URL.String()
	}
	return nil
}

// do sends a request as a page of the application would. A POST asks for a token.
func (a attacker) do(ctx context.Context, what, method, target string, cookies ...*http.Cookie) (step, error) {
	body := ""
	if method == http.MethodPost {
		body = `{"action":"customer.read"}`
	}
	r, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
	if err != nil {
		return step{}, fmt.Errorf("%s: %w", what, err)
	}
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Content-Type", "application/json")
	for _, c := range cookies {
		r.AddCookie(c)
	}
	return a.send(r, what)
}

func (a attacker) send(r *http.Request, what string) (step, error) {
	resp, err := a.http.Do(r)
	if err != nil {
		return step{}, fmt.Errorf("%s: %w", what, err)
	}
	defer func() { _ = resp.Body.Close() }()
	done := step{What: what, Status: resp.StatusCode}
	var refusal struct{ Code, Message string }
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err == nil && resp.StatusCode >= http.StatusBadRequest && json.Unmarshal(body, &refusal) == nil {
		done.Code, done.Message = refusal.Code, refusal.Message
	}
	return done, nil
}
